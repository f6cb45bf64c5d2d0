import { IngotError } from '@ingot/daemon-kit';

/** Owner, mode and times of a file, as the image has them. */
export interface Attributes {
  /** Permission bits with setuid, setgid and sticky: 0 to 0o7777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Unix seconds. */
  readonly mtime: number;
  /** Extended attributes to keep, by full name. */
  readonly xattrs: ReadonlyMap<string, Buffer>;
}

/** Where a file's bytes are: in the uncompressed tar of one layer. */
export interface Content {
  /** Index of the layer, 0 the lowest. */
  readonly layer: number;
  readonly offset: number;
  readonly size: number;
}

/** One entry of a layer, its path already split and known to stay inside the root. */
export type LayerEntry =
  | { readonly kind: 'directory'; readonly path: EntryPath; readonly attributes: Attributes }
  | {
      readonly kind: 'file';
      readonly path: EntryPath;
      readonly attributes: Attributes;
      readonly content: Content;
    }
  | {
      readonly kind: 'symlink';
      readonly path: EntryPath;
      readonly attributes: Attributes;
      readonly target: string;
    }
  /** Devices are followed through the merge and left out of the rootfs; FIFOs stay. */
  | {
      readonly kind: 'fifo' | 'device';
      readonly path: EntryPath;
      readonly attributes: Attributes;
    }
  | { readonly kind: 'link'; readonly path: EntryPath; readonly target: EntryPath }
  /** Hides the path of the layers below. */
  | { readonly kind: 'whiteout'; readonly path: EntryPath }
  /** Hides what the layers below have in the directory. */
  | { readonly kind: 'opaque'; readonly path: EntryPath };

/** Names from the root down; empty is the root itself. */
export type EntryPath = readonly string[];

/** What to name in an error about an entry. */
export interface EntryPlace {
  /** 1 is the lowest, as people count. */
  readonly layerNumber: number;
  readonly layerDigest: string;
  /** The entry's name as the archive has it. */
  readonly entry: string;
}

// Linux: NAME_MAX and PATH_MAX.
const maxNameBytes = 255;
const maxPathBytes = 4096;

/**
 * Splits a name of an archive. A leading "/" means the root of the image; "." and inner ".." are
 * resolved by the text alone, as tar readers do.
 *
 * @throws IngotError layer_escapes_root when it climbs above the root, image_malformed when no
 *   file can have that name.
 */
export function parseEntryPath(name: string, place: EntryPlace): EntryPath {
  const path: string[] = [];
  for (const part of name.split('/')) {
    if (part === '' || part === '.') continue;
    if (part !== '..') path.push(part);
    else if (path.pop() === undefined) escapes(place);
    if (Buffer.byteLength(part) > maxNameBytes) badEntry(place, 'has too long a name');
  }
  if (Buffer.byteLength(name) > maxPathBytes) badEntry(place, 'has too long a path');
  if (name.includes('\0')) badEntry(place, 'has a NUL in its name');
  // What the tar reader could not decode; two such names could become one.
  if (name.includes('\uFFFD')) badEntry(place, 'has a name that is not UTF-8');
  return path;
}

/** @throws IngotError layer_escapes_root, always. */
export function escapes(place: EntryPlace): never {
  throw new IngotError(
    'layer_escapes_root',
    `${nameOf(place)} climbs out of the image's root; the image is hostile or damaged`,
    {
      remedy: 'do not trust this image; build it again from sources you know',
      facts: factsOf(place),
    },
  );
}

/** @throws IngotError image_malformed, always. */
export function badEntry(place: EntryPlace, why: string): never {
  throw new IngotError('image_malformed', `${nameOf(place)} ${why}`, {
    remedy: 'build the image again with a current tool and push it',
    facts: factsOf(place),
  });
}

function nameOf({ layerNumber, layerDigest, entry }: EntryPlace): string {
  const shown = entry.length > 200 ? `${entry.slice(0, 200)}…` : entry;
  return `layer ${layerNumber} (${layerDigest}), entry ${JSON.stringify(shown)}`;
}

function factsOf({ layerNumber, layerDigest, entry }: EntryPlace): Record<string, string> {
  return { layer: String(layerNumber), layerDigest, entry: entry.slice(0, 1024) };
}
