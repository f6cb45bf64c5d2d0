/** One entry of an initrd. `mode` is the whole st_mode, type bits included. */
export interface CpioEntry {
  path: string;
  mode: number;
  data?: Buffer;
  /** Of a device node. */
  device?: { major: number; minor: number };
}

/**
 * Writes a cpio archive in the "newc" form the kernel unpacks
 * (Documentation/driver-api/early-userspace/buffer-format.rst). The same entries always give the
 * same bytes: owner root, time 0, inode numbers by position.
 */
export function writeCpio(entries: readonly CpioEntry[]): Buffer {
  const parts = entries.map((entry, index) => record(entry, index + 1));
  parts.push(record({ path: 'TRAILER!!!', mode: 0 }, 0));
  return Buffer.concat(parts);
}

function record(entry: CpioEntry, inode: number): Buffer {
  const data = entry.data ?? Buffer.alloc(0);
  const name = Buffer.from(`${entry.path}\0`, 'utf8');
  const fields = [
    inode,
    entry.mode,
    0, // uid
    0, // gid
    1, // links
    0, // mtime
    data.length,
    0, // device the file is on
    0,
    entry.device?.major ?? 0,
    entry.device?.minor ?? 0,
    name.length,
    0, // checksum, unused in this form
  ];
  const header = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`;
  return Buffer.concat([padded(Buffer.concat([Buffer.from(header), name])), padded(data)]);
}

/** Headers and data each start at a multiple of four bytes. */
function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)]);
}
