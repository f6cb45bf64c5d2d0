import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { createLogger } from '@ingot/daemon-kit';
import fc from 'fast-check';
import type { JournalRecord, RunLog } from '../../domain/journal-state.ts';
import { noCounters, type Sample } from '../../domain/sample.ts';
import { Journal, type JournalOptions } from './journal.ts';
import { decodeRecords, encodeRecord } from './record-codec.ts';

const root = mkdtempSync('/tmp/ingot-journal-');
after(() => rmSync(root, { recursive: true, force: true }));
const logger = createLogger({ name: 'test', level: 'silent' });
const open = (dir: string, more: Partial<JournalOptions> = {}): Journal =>
  new Journal({ dir, logger, segmentBytes: 2_000, ...more });

const runOf = (ref: number): RunLog => ({
  ref,
  vmId: `vm-${ref}`,
  bootEpoch: 1,
  tenantId: '{"bigint":"1"}',
  deploymentId: 'shop',
  vcpus: 1,
  memoryBytes: 2n ** 40n,
  startedAtUnixMs: 1_000,
  netBase: { rxBytes: 1n, txBytes: 2n },
  last: undefined,
  firstAfter: 0n,
  startAcknowledged: false,
  acknowledgedThrough: 0n,
  acknowledgedAtUnixMs: 1_000,
  deliveredThrough: 0n,
  gaps: [],
  nextGapId: 1,
  stoppedAtUnixMs: undefined,
});

const sampleOf = (sequence: number): Sample => ({
  ...noCounters,
  sequence: BigInt(sequence),
  atUnixMs: BigInt(1_000 + sequence * 100),
  coversMs: 100,
  memoryBytes: 1n,
  cpuNs: BigInt(sequence) * 7n,
});

const take = (journal: Journal, sequence: number, refs: number[]): void =>
  journal.append({
    kind: 'samples',
    samples: refs.map((ref) => ({ ref, sample: sampleOf(sequence) })),
  });

/** Without what is undefined, which JSON does not keep. */
const known = (journal: Journal): object[] =>
  [...journal.state.values()].map((run) =>
    Object.fromEntries(Object.entries(run).filter(([, value]) => value !== undefined)),
  );

const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const plain = { noNullPrototype: true } as const;
const sample: fc.Arbitrary<Sample> = fc.record(
  {
    sequence: u64,
    atUnixMs: u64,
    coversMs: fc.nat(),
    cpuNs: u64,
    memoryBytes: u64,
    residentBytes: u64,
    diskReadBytes: u64,
    diskWriteBytes: u64,
    netRxBytes: u64,
    netTxBytes: u64,
  },
  plain,
);
const record: fc.Arbitrary<JournalRecord> = fc.oneof(
  fc.record(
    {
      kind: fc.constant('samples' as const),
      samples: fc.array(fc.record({ ref: fc.nat(), sample }, plain), {
        minLength: 1,
        maxLength: 5,
      }),
    },
    plain,
  ),
  fc.record({ kind: fc.constant('stopped' as const), ref: fc.nat(), atUnixMs: fc.nat() }, plain),
  fc.record(
    {
      kind: fc.constant('samples_acknowledged' as const),
      ref: fc.nat(),
      through: u64,
      atUnixMs: fc.nat(),
      delivered: fc.boolean(),
    },
    plain,
  ),
);

test('any prefix of the bytes replays to a prefix of the records, whatever follows it', () => {
  const check = (records: JournalRecord[], cut: number, tail: Uint8Array): void => {
    const encoded = records.map(encodeRecord);
    const all = Buffer.concat(encoded);
    const length = cut % (all.length + 1);
    let whole = 0;
    for (let size = 0; whole < encoded.length; whole++) {
      size += encoded[whole]?.length ?? 0;
      if (size > length) break;
    }
    const decode = (bytes: Buffer): JournalRecord[] =>
      [...decodeRecords(bytes)].map((one) => one.record);
    assert.deepEqual(decode(all.subarray(0, length)), records.slice(0, whole));
    // Behind a torn record nothing is believed; behind a whole one zeros are no record.
    assert.deepEqual(decode(Buffer.concat([all, Buffer.alloc(tail.length)])), records);
  };
  fc.assert(fc.property(fc.array(record, { maxLength: 8 }), fc.nat(), fc.uint8Array(), check));
});

test('a flipped bit ends the replay before its record', () => {
  fc.assert(
    fc.property(fc.array(record, { minLength: 1, maxLength: 5 }), fc.nat(), (records, where) => {
      const bytes = Buffer.concat(records.map(encodeRecord));
      const bit = where % (bytes.length * 8);
      bytes.writeUInt8(bytes.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      const found = [...decodeRecords(bytes)].map((one) => one.record);
      assert.deepEqual(found, records.slice(0, found.length));
      assert.ok(found.length < records.length);
    }),
  );
});

test('what was appended is there after a death without warning, over many segments', async () => {
  const dir = join(root, 'death');
  const first = open(dir);
  first.append(
    { kind: 'run', run: runOf(first.newRef()) },
    { kind: 'run', run: runOf(first.newRef()) },
  );
  for (let n = 1; n <= 200; n++) take(first, n, [1, 2]);
  first.append({ kind: 'gap', ref: 2, gap: { fromUnixMs: 1, toUnixMs: 2, cause: 'metald_down' } });
  assert.ok(readdirSync(dir).length > 5);

  const second = open(dir);
  assert.deepEqual(known(second), known(first));
  assert.equal(second.newRef(), 3);
  take(second, 201, [1]);
  const read = await second.readSamples(1, 5n, 1_000);
  assert.deepEqual(
    read,
    Array.from({ length: 197 }, (_, index) => sampleOf(index + 5)),
  );
  assert.deepEqual(await second.readSamples(2, 190n, 3), [190, 191, 192].map(sampleOf));
  assert.deepEqual(await first.readSamples(2, 190n, 3), [190, 191, 192].map(sampleOf));
  await second.close();
});

test('segments go when everything in them is acknowledged, and not before', async () => {
  const dir = join(root, 'trim');
  const journal = open(dir);
  for (const ref of [journal.newRef(), journal.newRef()])
    journal.append({ kind: 'run', run: runOf(ref) });
  for (let n = 1; n <= 100; n++) take(journal, n, [1, 2]);
  const before = readdirSync(dir).length;
  const acknowledge = (ref: number, through: bigint): void =>
    journal.append({ kind: 'samples_acknowledged', ref, through, atUnixMs: 1, delivered: true });
  acknowledge(1, 100n);
  await journal.trim();
  assert.equal(readdirSync(dir).length, before);
  acknowledge(2, 60n);
  await journal.trim();
  assert.ok(readdirSync(dir).length < before);
  assert.deepEqual((await open(dir).readSamples(2, 61n, 100)).length, 40);
  journal.append({ kind: 'finished', ref: 1 }, { kind: 'finished', ref: 2 });
  await journal.trim();
  assert.equal(readdirSync(dir).length, 2); // the other one of `open` above, and its own
  await journal.close();
});

test('a torn end is cut, and what follows it is replayed too', () => {
  const dir = join(root, 'torn');
  const first = open(dir, { segmentBytes: 1 << 20 });
  first.append({ kind: 'run', run: runOf(first.newRef()) });
  take(first, 1, [1]);
  const [name = ''] = readdirSync(dir);
  appendFileSync(
    join(dir, name),
    encodeRecord({ kind: 'stopped', ref: 1, atUnixMs: 1 }).subarray(0, 20),
  );
  const second = open(dir, { segmentBytes: 1 << 20 });
  assert.equal(second.state.get(1)?.stoppedAtUnixMs, undefined);
  take(second, 2, [1]);
  assert.equal(open(dir).state.get(1)?.last?.sequence, 2n);
});

test('a damaged segment costs its samples only', async () => {
  const dir = join(root, 'damage');
  const first = open(dir);
  first.append({ kind: 'run', run: runOf(first.newRef()) });
  for (let n = 1; n <= 100; n++) take(first, n, [1]);
  const names = readdirSync(dir).toSorted();
  const path = join(dir, names[1] ?? '');
  const bytes = readFileSync(path);
  bytes.fill(0xff, 1_000, 1_010);
  writeFileSync(path, bytes);
  const sequences = (await open(dir).readSamples(1, 1n, 1_000)).map((one) => Number(one.sequence));
  assert.ok(sequences.length < 100 && sequences.length > 60);
  assert.deepEqual([sequences[0], sequences.at(-1)], [1, 100]);
});

test(
  'a full disk: said, kept in memory, written when there is room',
  { skip: process.getuid?.() === 0 ? false : 'needs root to mount a small file system' },
  async () => {
    const dir = join(root, 'full');
    mkdirSync(dir);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', dir]);
    try {
      const journal = open(dir, { segmentBytes: 1 << 20, maxBacklogBytes: 20_000 });
      journal.append({ kind: 'run', run: runOf(journal.newRef()) });
      writeFileSync(join(dir, 'other'), Buffer.alloc(48_000));
      let taken = 0;
      while (!journal.overfull) take(journal, ++taken, [1]);
      assert.match(journal.problem ?? '', /ENOSPC/);
      assert.equal((await journal.readSamples(1, 1n, 10_000)).length, taken);
      rmSync(join(dir, 'other'));
      journal.flush();
      assert.equal(journal.problem, undefined);
      assert.equal(journal.overfull, false);
      take(journal, ++taken, [1]);
      const replayed = open(dir, { segmentBytes: 1 << 20 });
      assert.equal((await replayed.readSamples(1, 1n, 10_000)).length, taken);
      await replayed.close();
      await journal.close();
    } finally {
      execFileSync('umount', ['-l', dir]);
    }
  },
);
