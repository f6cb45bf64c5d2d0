import { crc32 } from 'node:zlib';
import type { FiledSample, JournalRecord } from '../../domain/journal-state.ts';
import type { Sample } from '../../domain/sample.ts';

// A frame: length of the payload (u32), CRC-32 of the payload (u32), payload. The payload's first
// byte is its type. All numbers are little-endian.
const headerBytes = 8;
/** More than any record has: a length beyond it is damage. */
const maxPayloadBytes = 64 * 1024 * 1024;
const samplesType = 1;
const jsonType = 2;

/** ref (u32), coversMs (u32), then nine u64. */
export const sampleBytes = 80;
const wide = [
  'sequence',
  'atUnixMs',
  'cpuNs',
  'memoryBytes',
  'residentBytes',
  'diskReadBytes',
  'diskWriteBytes',
  'netRxBytes',
  'netTxBytes',
] as const satisfies readonly (keyof Sample)[];

/** The bytes of a record, ready to be appended. */
export function encodeRecord(record: JournalRecord): Buffer {
  const frame = record.kind === 'samples' ? samplesFrame(record.samples) : jsonFrame(record);
  const payload = frame.subarray(headerBytes);
  frame.writeUInt32LE(payload.length, 0);
  frame.writeUInt32LE(crc32(payload), 4);
  return frame;
}

function samplesFrame(samples: readonly FiledSample[]): Buffer {
  const frame = Buffer.allocUnsafe(headerBytes + 1 + samples.length * sampleBytes);
  frame[headerBytes] = samplesType;
  let offset = headerBytes + 1;
  for (const { ref, sample } of samples) {
    writeSample(frame, offset, ref, sample);
    offset += sampleBytes;
  }
  return frame;
}

function jsonFrame(record: JournalRecord): Buffer {
  const text = JSON.stringify(record, (_key, value: unknown) =>
    typeof value === 'bigint' ? { bigint: value.toString() } : value,
  );
  const frame = Buffer.allocUnsafe(headerBytes + 1 + Buffer.byteLength(text));
  frame[headerBytes] = jsonType;
  frame.write(text, headerBytes + 1, 'utf8');
  return frame;
}

export function writeSample(into: Buffer, offset: number, ref: number, sample: Sample): void {
  into.writeUInt32LE(ref, offset);
  into.writeUInt32LE(sample.coversMs, offset + 4);
  let at = offset + 8;
  for (const name of wide) {
    into.writeBigUInt64LE(sample[name], at);
    at += 8;
  }
}

export function readSample(from: Buffer, offset: number): Sample {
  const word = (index: number): bigint => from.readBigUInt64LE(offset + 8 + index * 8);
  return {
    sequence: word(0),
    atUnixMs: word(1),
    coversMs: from.readUInt32LE(offset + 4),
    cpuNs: word(2),
    memoryBytes: word(3),
    residentBytes: word(4),
    diskReadBytes: word(5),
    diskWriteBytes: word(6),
    netRxBytes: word(7),
    netTxBytes: word(8),
  };
}

/** A frame found whole. */
interface Frame {
  payload: Buffer;
  /** Offset of the byte behind it. */
  end: number;
}

/** The whole frames from the beginning of `bytes` on; ends before the first that is torn or damaged. */
function* frames(bytes: Buffer): Generator<Frame> {
  let offset = 0;
  while (offset + headerBytes < bytes.length) {
    const length = bytes.readUInt32LE(offset);
    const start = offset + headerBytes;
    const end = start + length;
    // Length 0 is what a file system may leave after a power cut: zeros, whose checksum is right.
    if (length === 0 || length > maxPayloadBytes || end > bytes.length) return;
    const payload = bytes.subarray(start, end);
    if (crc32(payload) !== bytes.readUInt32LE(offset + 4)) return;
    yield { payload, end };
    offset = end;
  }
}

/** The records from the beginning of `bytes` on, each with the offset behind it; stops at the first damage. */
export function* decodeRecords(bytes: Buffer): Generator<{ record: JournalRecord; end: number }> {
  for (const { payload, end } of frames(bytes)) yield { record: decodePayload(payload), end };
}

function decodePayload(payload: Buffer): JournalRecord {
  if (payload[0] === samplesType) {
    const samples: FiledSample[] = [];
    for (let at = 1; at + sampleBytes <= payload.length; at += sampleBytes) {
      samples.push({ ref: payload.readUInt32LE(at), sample: readSample(payload, at) });
    }
    return { kind: 'samples', samples };
  }
  // The checksum held, so this is what encodeRecord wrote.
  return JSON.parse(payload.toString('utf8', 1), (_key, value: unknown) =>
    isBigintObject(value) ? BigInt(value.bigint) : value,
  ) as JournalRecord;
}

function isBigintObject(value: unknown): value is { bigint: string } {
  return typeof value === 'object' && value !== null && 'bigint' in value;
}

/** Adds the samples of one run with a sequence of at least `from` to `into`, up to `max` of them in all. */
export function collectSamples(
  bytes: Buffer,
  wanted: { ref: number; from: bigint; max: number },
  into: Sample[],
): void {
  for (const { payload } of frames(bytes)) {
    if (into.length >= wanted.max) return;
    if (payload[0] !== samplesType) continue;
    for (let at = 1; at + sampleBytes <= payload.length; at += sampleBytes) {
      if (payload.readUInt32LE(at) !== wanted.ref) continue;
      if (payload.readBigUInt64LE(at + 8) >= wanted.from) into.push(readSample(payload, at));
    }
  }
}
