import { Readable } from 'node:stream';
import { messageOf } from '@ingot/daemon-kit';
import { extract, type Header } from 'tar-stream';
import type { Attributes, EntryPath, EntryPlace, LayerEntry } from './layer-entry.ts';
import { badEntry, escapes, parseEntryPath } from './layer-entry.ts';
import type { LayerTar } from './layer-tar.ts';
import { findXattrs, readExactXattrs } from './pax-xattrs.ts';

const blockBytes = 512;
const whiteoutPrefix = '.wh.';
const opaqueMarker = '.wh..wh..opq';
// aufs kept its own notes under such names; they are in old images and mean nothing now.
const aufsPrefix = '.wh..wh.';
const maxId = 0xffff_ffff;
// The reader takes 4 MiB each of PAX headers, long name and long link target.
const maxHeadersBytes = 16 * 1024 * 1024;

/**
 * The entries of a layer in their order, without the bytes of files.
 *
 * @param index - 0 is the lowest layer.
 * @throws IngotError layer_escapes_root, image_malformed naming layer and entry.
 */
export async function* readLayer(tar: LayerTar, index: number): AsyncGenerator<LayerEntry> {
  const place = { layerNumber: index + 1, layerDigest: tar.digest, entry: '(start of the layer)' };
  const parser = extract();
  const source = Readable.from(tar.stream());
  source.on('error', (error) => parser.destroy(error));
  source.pipe(parser);
  // Where the previous entry ended: PAX headers of an entry lie between there and its own header.
  let previousEnd = 0;
  try {
    for await (const item of parser) {
      item.resume();
      const { header } = item;
      const here = { ...place, entry: header.name };
      place.entry = header.name;
      const region = { start: previousEnd, end: item.offset };
      const size = header.type === 'directory' ? 0 : header.size;
      previousEnd = item.offset + blockBytes + Math.ceil(size / blockBytes) * blockBytes;
      const pax = (header.pax ?? {}) as Readonly<Record<string, string>>;
      const path = parseEntryPath(header.name, here);
      const marker = parseMarker(path, here);
      if (marker === 'skip') continue;
      if (marker) {
        yield marker;
        continue;
      }
      checkShape(header, pax, here);
      const found = findXattrs(pax);
      if (region.end - region.start > maxHeadersBytes) badEntry(here, 'has too many headers');
      const xattrs = found === 'inexact' ? await readExactXattrs(tar, region) : found;
      const attributes = readAttributes(header, pax, xattrs, here);
      const offset = item.offset + blockBytes;
      yield toEntry(header, path, attributes, { layer: index, offset, size }, here);
    }
  } catch (error) {
    if (error instanceof Error && error.name === 'IngotError') throw error;
    badEntry(place, `cannot be read, or what follows it: ${messageOf(error)}`);
  } finally {
    source.destroy();
  }
}

/** Whiteouts and opaque markers, and what aufs left behind. */
function parseMarker(path: EntryPath, place: EntryPlace): LayerEntry | 'skip' | undefined {
  const name = path.at(-1) ?? '';
  const parent = path.slice(0, -1);
  if (name === opaqueMarker && !parent.some(isReserved)) return { kind: 'opaque', path: parent };
  if (path.some((part) => part.startsWith(aufsPrefix))) return 'skip';
  if (parent.some(isReserved)) badEntry(place, 'lies below a whiteout');
  if (!isReserved(name)) return undefined;
  const hidden = name.slice(whiteoutPrefix.length);
  if (hidden === '..') escapes(place);
  if (hidden === '' || hidden === '.') badEntry(place, 'is a whiteout of nothing');
  return { kind: 'whiteout', path: [...parent, hidden] };
}

function isReserved(name: string): boolean {
  return name.startsWith(whiteoutPrefix);
}

function checkShape(
  header: Header,
  pax: Readonly<Record<string, string>>,
  place: EntryPlace,
): void {
  if (Object.keys(pax).some((key) => key.startsWith('GNU.sparse.'))) {
    badEntry(place, 'is a sparse file, which layers may not hold');
  }
  // The reader gives null for types it does not know, among them GNU's sparse files.
  if ((header.type as string | null) === null) {
    badEntry(place, 'is of a type that layers may not hold (a sparse or multi-volume file)');
  }
  const hasBody = header.type === 'file' || header.type === 'contiguous-file';
  if (!hasBody && header.type !== 'directory' && header.size !== 0) {
    badEntry(place, `is a ${header.type} with a body`);
  }
  if (!Number.isSafeInteger(header.size)) badEntry(place, 'has no valid size');
}

function readAttributes(
  header: Header,
  pax: Readonly<Record<string, string>>,
  xattrs: ReadonlyMap<string, Buffer>,
  place: EntryPlace,
): Attributes {
  const uid = pax['uid'] === undefined ? header.uid : Number(pax['uid']);
  const gid = pax['gid'] === undefined ? header.gid : Number(pax['gid']);
  for (const id of [uid, gid]) {
    if (!Number.isInteger(id) || id < 0 || id > maxId) badEntry(place, 'has no valid owner');
  }
  const seconds =
    pax['mtime'] === undefined ? header.mtime.getTime() / 1000 : Number.parseFloat(pax['mtime']);
  // squashfs keeps times as unsigned 32-bit seconds.
  const mtime = Number.isFinite(seconds) ? Math.min(Math.max(Math.floor(seconds), 0), maxId) : 0;
  return { mode: header.mode & 0o7777, uid, gid, mtime, xattrs };
}

function toEntry(
  header: Header,
  path: EntryPath,
  attributes: Attributes,
  content: { layer: number; offset: number; size: number },
  place: EntryPlace,
): LayerEntry {
  const linkname = (header.linkname as string | null) ?? '';
  switch (header.type) {
    case 'file':
    case 'contiguous-file':
      return { kind: 'file', path, attributes, content };
    case 'directory':
      return { kind: 'directory', path, attributes };
    case 'symlink':
      if (linkname === '') badEntry(place, 'is a symbolic link to nowhere');
      if (/[\0\uFFFD]/.test(linkname)) badEntry(place, 'has a link target that is not UTF-8');
      return { kind: 'symlink', path, attributes, target: linkname };
    case 'link':
      return { kind: 'link', path, target: parseEntryPath(linkname, place) };
    case 'fifo':
      return { kind: 'fifo', path, attributes };
    case 'character-device':
    case 'block-device':
      return { kind: 'device', path, attributes };
    default:
      return badEntry(place, 'is of a type that layers may not hold');
  }
}
