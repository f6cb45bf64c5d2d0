import { buffer } from 'node:stream/consumers';
import { pack } from 'tar-stream';
import type { Header } from 'tar-stream';

const blockBytes = 512;

/** One entry of a layer. Nothing is checked: hostile entries are what this is for. */
export interface TarEntry {
  readonly name: string;
  readonly type?: Header['type'];
  readonly content?: string | Uint8Array;
  /** Target of a symbolic or hard link. */
  readonly linkname?: string;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  /** Unix seconds; 0 unless given, so that an image is the same bytes every time. */
  readonly mtime?: number;
  readonly devmajor?: number;
  readonly devminor?: number;
  /** PAX records written before the entry, such as `SCHILY.xattr.user.x`. */
  readonly pax?: Readonly<Record<string, string>>;
  /** Changes the raw 512-byte header; its checksum is computed afterwards. */
  readonly tamper?: (header: Buffer) => void;
}

/** A regular file. */
export function file(
  name: string,
  content: string | Uint8Array = '',
  more: Partial<TarEntry> = {},
): TarEntry {
  return { name, type: 'file', content, ...more };
}

/** A directory. */
export function dir(name: string, more: Partial<TarEntry> = {}): TarEntry {
  return { name, type: 'directory', mode: 0o755, ...more };
}

/** A symbolic link at `name` pointing to `target`. */
export function symlink(name: string, target: string, more: Partial<TarEntry> = {}): TarEntry {
  return { name, type: 'symlink', linkname: target, mode: 0o777, ...more };
}

/** A hard link at `name` to the earlier entry `target`. */
export function hardLink(name: string, target: string, more: Partial<TarEntry> = {}): TarEntry {
  return { name, type: 'link', linkname: target, ...more };
}

/** A whiteout: hides `path` of the layers below. */
export function whiteout(path: string): TarEntry {
  const slash = path.lastIndexOf('/') + 1;
  return file(`${path.slice(0, slash)}.wh.${path.slice(slash)}`);
}

/** An opaque marker: hides everything the layers below have in the directory. */
export function opaque(directory: string): TarEntry {
  return file(`${directory}/.wh..wh..opq`);
}

/** The entries as one tar archive, in their order. The same entries give the same bytes. */
export async function writeTar(entries: readonly TarEntry[]): Promise<Buffer> {
  const parts: Buffer[] = [];
  for (const entry of entries) parts.push(await writeEntry(entry));
  return Buffer.concat([...parts, Buffer.alloc(2 * blockBytes)]);
}

async function writeEntry(entry: TarEntry): Promise<Buffer> {
  const { content, tamper, mtime, ...header } = entry;
  const body = Buffer.from(content ?? '');
  const archive = pack();
  const full = { ...header, mtime: new Date((mtime ?? 0) * 1000) };
  if (full.type === undefined || full.type === 'file') archive.entry(full, body);
  else archive.entry(full);
  archive.finalize();
  const bytes = (await buffer(archive)).subarray(0, -2 * blockBytes);
  if (tamper) {
    const paddedBody = Math.ceil(body.length / blockBytes) * blockBytes;
    const raw = bytes.subarray(bytes.length - paddedBody - blockBytes, bytes.length - paddedBody);
    tamper(raw);
    writeChecksum(raw);
  }
  return bytes;
}

function writeChecksum(header: Buffer): void {
  header.fill(' ', 148, 156);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')} \0`, 148, 'latin1');
}
