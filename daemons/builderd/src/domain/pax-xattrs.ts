import type { LayerTar } from './layer-tar.ts';

const blockBytes = 512;
const xattrPrefix = 'SCHILY.xattr.';
const none: ReadonlyMap<string, Buffer> = new Map();

/**
 * Which extended attributes reach the rootfs: capabilities, without which programs such as ping
 * fail, and what programs keep for themselves. Not `trusted.*`: overlayfs in the guest would obey
 * `trusted.overlay.*`; and neither `security.selinux` nor ACLs, which mean nothing to it.
 */
function isKept(name: string): boolean {
  return name === 'security.capability' || name.startsWith('user.');
}

/**
 * The extended attributes to keep, from PAX records that the tar reader decoded as UTF-8.
 * "inexact" when that decoding lost bytes: then `readExactXattrs` must look at the archive.
 */
export function findXattrs(
  pax: Readonly<Record<string, string>>,
): ReadonlyMap<string, Buffer> | 'inexact' {
  let found: Map<string, Buffer> | undefined;
  for (const [key, value] of Object.entries(pax)) {
    if (!key.startsWith(xattrPrefix)) continue;
    const name = key.slice(xattrPrefix.length);
    if (!isKept(name)) continue;
    if (value.includes('\uFFFD')) return 'inexact';
    found ??= new Map();
    found.set(name, Buffer.from(value));
  }
  return found ?? none;
}

/**
 * The extended attributes to keep, byte by byte, from the PAX header among the archive's headers
 * in [start, end).
 */
export async function readExactXattrs(
  tar: LayerTar,
  { start, end }: { start: number; end: number },
): Promise<ReadonlyMap<string, Buffer>> {
  const headers = await tar.read(start, end - start);
  const found = new Map<string, Buffer>();
  for (let at = 0; at + blockBytes <= headers.length;) {
    const type = headers.toString('latin1', at + 156, at + 157);
    const size = Number.parseInt(headers.toString('latin1', at + 124, at + 136), 8) || 0;
    const body = headers.subarray(at + blockBytes, at + blockBytes + size);
    if (type === 'x')
      for (const [name, value] of paxRecords(body)) if (isKept(name)) found.set(name, value);
    at += blockBytes + Math.ceil(size / blockBytes) * blockBytes;
  }
  return found;
}

/** The xattr records ("<length> SCHILY.xattr.<name>=<value>\n") of a PAX header's body. */
function* paxRecords(body: Buffer): Generator<[string, Buffer]> {
  for (let at = 0; at < body.length;) {
    const space = body.indexOf(' ', at);
    const length = Number.parseInt(body.toString('latin1', at, space), 10);
    const equals = body.indexOf('=', space);
    if (!(length > 0) || space === -1 || equals === -1) return;
    const key = body.toString('utf8', space + 1, equals);
    const value = body.subarray(equals + 1, at + length - 1);
    if (key.startsWith(xattrPrefix)) yield [key.slice(xattrPrefix.length), Buffer.from(value)];
    at += length;
  }
}
