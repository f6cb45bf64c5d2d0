import { zstdDecompressSync } from 'node:zlib';

const elfMagic = Buffer.from('\x7fELF', 'latin1');

/** How the kernel build compressed the ELF image: told by its first bytes. */
export type PayloadCompression = 'lz4' | 'zstd';

export interface BzImagePayload {
  compression: PayloadCompression;
  /** The compressed stream, without the length the kernel build appends. */
  compressed: Buffer;
  /** Length of the ELF image in bytes, as the kernel build recorded it. */
  elfBytes: number;
}

/**
 * Finds the compressed ELF `vmlinux` inside a bzImage. Offsets are those of the x86 boot protocol
 * (Documentation/arch/x86/boot.rst): setup_sects 0x1f1, magic "HdrS" 0x202, payload_offset 0x248,
 * payload_length 0x24c, all little endian.
 *
 * @throws Error when the image is not a bzImage or uses a compression we do not read.
 */
export function findPayload(bzImage: Buffer): BzImagePayload {
  if (bzImage.length < 0x250 || bzImage.toString('latin1', 0x202, 0x206) !== 'HdrS') {
    throw new Error('not a bzImage: the boot protocol magic "HdrS" is missing');
  }
  // 0 means 4, for the sake of very old loaders.
  const setupSectors = bzImage.readUInt8(0x1f1) || 4;
  const start = (setupSectors + 1) * 512 + bzImage.readUInt32LE(0x248);
  const end = start + bzImage.readUInt32LE(0x24c);
  if (end > bzImage.length || end - start < 8) throw new Error('the bzImage is cut short');
  const compressed = bzImage.subarray(start, end - 4);
  return {
    compression: compressionOf(compressed),
    compressed,
    elfBytes: bzImage.readUInt32LE(end - 4),
  };
}

function compressionOf(stream: Buffer): PayloadCompression {
  const magic = stream.readUInt32LE(0);
  if (magic === 0x184c2102) return 'lz4';
  if (magic === 0xfd2fb528) return 'zstd';
  throw new Error(`the kernel's payload is compressed in an unknown way (magic ${magic})`);
}

/** Unpacks the payload and checks that it is the ELF image the kernel build recorded. */
export function unpackPayload(payload: BzImagePayload): Buffer {
  const elf =
    payload.compression === 'zstd'
      ? zstdDecompressSync(payload.compressed)
      : unpackLegacyLz4(payload.compressed, payload.elfBytes);
  if (elf.length !== payload.elfBytes || !elf.subarray(0, 4).equals(elfMagic)) {
    throw new Error('the kernel did not unpack to the ELF image its header promises');
  }
  return elf;
}

/**
 * The "legacy" LZ4 frame the kernel build writes (lz4 -l): magic, then blocks of
 * `u32 length, bytes`, each unpacking to at most 8 MiB and referring only to itself.
 */
function unpackLegacyLz4(stream: Buffer, outputBytes: number): Buffer {
  const output = Buffer.allocUnsafe(outputBytes);
  let written = 0;
  for (let at = 4; at < stream.length;) {
    const length = stream.readUInt32LE(at);
    written = unpackLz4Block(stream.subarray(at + 4, at + 4 + length), output, written);
    at += 4 + length;
  }
  return output.subarray(0, written);
}

/** Unpacks one LZ4 block into `output` at `start`; answers where it ended. */
function unpackLz4Block(block: Buffer, output: Buffer, start: number): number {
  let from = 0;
  let to = start;
  const longer = (length: number): number => {
    if (length !== 15) return length;
    let more = 0;
    do {
      more = block.readUInt8(from++);
      length += more;
    } while (more === 255);
    return length;
  };
  while (from < block.length) {
    const token = block.readUInt8(from++);
    const literals = longer(token >> 4);
    block.copy(output, to, from, from + literals);
    from += literals;
    to += literals;
    if (from >= block.length) break;
    const distance = block.readUInt16LE(from);
    from += 2;
    const match = longer(token & 15) + 4;
    if (distance === 0 || to - distance < start || to + match > output.length) {
      throw new Error('the kernel payload is not valid LZ4');
    }
    if (distance >= match) output.copyWithin(to, to - distance, to - distance + match);
    // A match may overlap what it produces: then it repeats, byte by byte.
    else for (let i = 0; i < match; i++) output[to + i] = output[to - distance + i] ?? 0;
    to += match;
  }
  return to;
}
