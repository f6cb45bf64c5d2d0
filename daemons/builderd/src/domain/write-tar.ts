import type { Attributes, Content } from './layer-entry.ts';
import type { MergedTree, TreeEntry } from './merged-tree.ts';

const blockBytes = 512;
// The widths of ustar's fields; what does not fit goes into a PAX header.
const maxNameBytes = 100;
const maxOctalId = 0o7777777;
const maxOctalSize = 0o77777777777;

/**
 * A merged tree as one tar archive, always the same bytes for the same tree.
 *
 * @param read - the bytes of a file, exactly `content.size` of them.
 */
export async function* writeTar(
  tree: MergedTree,
  read: (content: Content) => AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  for (const entry of tree.entries()) {
    yield encodeHeader(entry);
    if ('linkTo' in entry || entry.node.kind !== 'file') continue;
    const { content } = entry.node;
    if (content.size === 0) continue;
    yield* read(content);
    const padding = -content.size & (blockBytes - 1);
    if (padding > 0) yield Buffer.alloc(padding);
  }
  yield Buffer.alloc(2 * blockBytes);
}

const linkAttributes: Attributes = { mode: 0o644, uid: 0, gid: 0, mtime: 0, xattrs: new Map() };
const typeFlags = { file: '0', link: '1', symlink: '2', directory: '5', fifo: '6' } as const;

function encodeHeader(entry: TreeEntry): Buffer {
  const isLink = 'linkTo' in entry;
  const kind = isLink ? 'link' : entry.node.kind;
  const attributes = isLink ? linkAttributes : entry.node.attributes;
  const target = isLink ? entry.linkTo : entry.node.kind === 'symlink' ? entry.node.target : '';
  const size = !isLink && entry.node.kind === 'file' ? entry.node.content.size : 0;
  const name = kind === 'directory' ? `./${entry.path}/`.replace('.//', './') : `./${entry.path}`;

  const records: Buffer[] = [];
  if (Buffer.byteLength(name) > maxNameBytes) records.push(paxRecord('path', name));
  if (Buffer.byteLength(target) > maxNameBytes) records.push(paxRecord('linkpath', target));
  if (attributes.uid > maxOctalId) records.push(paxRecord('uid', `${attributes.uid}`));
  if (attributes.gid > maxOctalId) records.push(paxRecord('gid', `${attributes.gid}`));
  if (size > maxOctalSize) records.push(paxRecord('size', `${size}`));
  for (const [key, value] of [...attributes.xattrs].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    records.push(paxRecord(`SCHILY.xattr.${key}`, value));
  }
  const header = ustarBlock(name, typeFlags[kind], attributes, size, target);
  if (records.length === 0) return header;
  const body = Buffer.concat(records);
  const padded = Buffer.alloc(Math.ceil(body.length / blockBytes) * blockBytes);
  body.copy(padded);
  return Buffer.concat([ustarBlock('pax', 'x', linkAttributes, body.length, ''), padded, header]);
}

function ustarBlock(
  name: string,
  typeFlag: string,
  { mode, uid, gid, mtime }: Attributes,
  size: number,
  target: string,
): Buffer {
  const block = Buffer.alloc(blockBytes);
  block.write(name, 0, maxNameBytes);
  block.write(octal(mode, 7), 100);
  block.write(octal(Math.min(uid, maxOctalId), 7), 108);
  block.write(octal(Math.min(gid, maxOctalId), 7), 116);
  block.write(octal(Math.min(size, maxOctalSize), 11), 124);
  block.write(octal(mtime, 11), 136);
  block.write(typeFlag, 156);
  block.write(target, 157, maxNameBytes);
  block.write('ustar\x0000', 257);
  block.fill(' ', 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${octal(sum, 6)}\0`, 148);
  return block;
}

function octal(value: number, digits: number): string {
  return value.toString(8).padStart(digits, '0');
}

/** "<length> key=value\n", the length counting itself. */
function paxRecord(key: string, value: string | Buffer): Buffer {
  const rest = Buffer.concat([Buffer.from(` ${key}=`), Buffer.from(value), Buffer.from('\n')]);
  let length = rest.length;
  while (`${length}`.length + rest.length !== length) length = `${length}`.length + rest.length;
  return Buffer.concat([Buffer.from(`${length}`), rest]);
}
