import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hashSamples } from '@ingot/contracts';
import { type ErrorReason, IngotError, isIngotError } from '@ingot/daemon-kit';
import { SimulatedClock } from '@ingot/testkit';
import type { Run } from '../domain/run.ts';
import type { Sample } from '../domain/sample.ts';
import { runOf, sampleOf, samplesOf } from '../usage-store/conformance.ts';
import { MemoryUsageStore } from '../usage-store/memory/memory-usage-store.ts';
import { recordGap, recordStarted, recordStopped } from './record-notices.ts';
import { RunBook } from './run-book.ts';
import { type BatchOutcome, storeBatch } from './store-batch.ts';

const hourMs = 60 * 60_000;
const dayMs = 24 * hourMs;

class Desk {
  readonly store = new MemoryUsageStore();
  readonly clock = new SimulatedClock(1_060_000);
  book: Promise<RunBook> = RunBook.load(this.store);

  /** As if billaged had been killed and started again. */
  restart(): void {
    this.book = RunBook.load(this.store);
  }

  async send(samples: readonly Sample[], run: Run = runOf()): Promise<BatchOutcome> {
    const batch = { run, samples, contentSha256: hashSamples(samples) };
    return storeBatch(batch, { store: this.store, book: await this.book, clock: this.clock });
  }

  async books() {
    return { store: this.store, book: await this.book, nowMs: this.clock.now() };
  }

  stored(): Promise<Sample[]> {
    return this.store.readSamples(runOf(), 1n, 10_000n);
  }
}

function refused(reason: ErrorReason) {
  return (error: unknown) => isIngotError(error, reason);
}

test('a batch is stored, and the same again is acknowledged without effect', async () => {
  const desk = new Desk();
  assert.deepEqual(await desk.send(samplesOf(1, 5)), { storedThrough: 5n, added: 5 });
  assert.deepEqual(await desk.send(samplesOf(1, 5)), { storedThrough: 5n, added: 0 });
  desk.restart();
  assert.deepEqual(await desk.send(samplesOf(2, 4)), { storedThrough: 5n, added: 0 });
  assert.deepEqual(await desk.stored(), samplesOf(1, 5));
});

test('of a batch that overlaps what is stored only the rest is added', async () => {
  const desk = new Desk();
  await desk.send(samplesOf(1, 5));
  assert.deepEqual(await desk.send(samplesOf(3, 9)), { storedThrough: 9n, added: 4 });
  assert.deepEqual(await desk.stored(), samplesOf(1, 9));
});

test('stored sequences with other content are a conflict', async () => {
  const desk = new Desk();
  await desk.send(samplesOf(1, 5));
  const changed = [sampleOf(5, { residentBytes: 1n }), sampleOf(6)];
  await assert.rejects(desk.send(changed), refused('batch_conflict'));
  assert.deepEqual(await desk.stored(), samplesOf(1, 5));
});

test('a run cannot change hands', async () => {
  const desk = new Desk();
  await desk.send(samplesOf(1, 5));
  for (const run of [runOf({ tenantId: 'other' }), runOf({ deploymentId: 'other' })]) {
    await assert.rejects(desk.send(samplesOf(6, 7), run), refused('batch_conflict'));
    desk.restart();
  }
});

test('a hole is refused until the host declares it', async () => {
  const desk = new Desk();
  await desk.send(samplesOf(1, 5));
  await assert.rejects(desk.send(samplesOf(8, 9)), refused('batch_out_of_order'));
  const elsewhere = { fromMs: 900_000, toMs: 900_001, cause: 'journal_damaged' };
  await recordGap(runOf(), elsewhere, await desk.books());
  await assert.rejects(desk.send(samplesOf(8, 9)), refused('batch_out_of_order'));
  const gap = { fromMs: 1_000_500, toMs: 1_000_800, cause: 'journal_damaged' };
  await recordGap(runOf(), gap, await desk.books());
  assert.deepEqual(await desk.send(samplesOf(8, 9)), { storedThrough: 9n, added: 2 });
  // Nothing of the usage is missing: the counters' growth over the hole is the first sample's.
  const [sum] = await desk.store.sumUsage({
    tenantId: 'acme',
    deploymentId: undefined,
    fromMs: 0,
    toMs: 2_000_000,
  });
  assert.equal(sum?.usage.cpuNs, sampleOf(9).cpuNs);
});

test('what cannot be true is refused', async () => {
  const desk = new Desk();
  await desk.send(samplesOf(1, 5));
  const wrong: Record<string, Sample[]> = {
    'a hole inside the batch': [sampleOf(6), sampleOf(8)],
    'a counter that falls inside the batch': [sampleOf(6), sampleOf(7, { netRxBytes: 1n })],
    'a counter that falls behind the last stored sample': [sampleOf(6, { cpuNs: 34n })],
    'a time far ahead': [sampleOf(6, { atUnixMs: BigInt(desk.clock.now() + 5 * 60_000 + 1) })],
  };
  for (const [what, samples] of Object.entries(wrong)) {
    await assert.rejects(desk.send(samples), refused('invalid_argument'), what);
  }
  const batch = { run: runOf(), samples: samplesOf(6, 7), contentSha256: hashSamples([]) };
  const context = { store: desk.store, book: await desk.book, clock: desk.clock };
  await assert.rejects(storeBatch(batch, context), refused('invalid_argument'));
  assert.deepEqual(await desk.stored(), samplesOf(1, 5));
});

test('after days without billaged a late batch is taken; after a month it is not', async () => {
  const desk = new Desk();
  await recordStarted(runOf(), { atMs: 1_000_000, vcpus: 1, memoryBytes: 1n }, await desk.books());
  await desk.clock.advance(3 * dayMs);
  await desk.send(samplesOf(1, 5));
  await desk.clock.advance(28 * dayMs);
  await assert.rejects(desk.send(samplesOf(6, 7)), refused('invalid_argument'));
});

test('a sample long before its run is refused', async () => {
  const desk = new Desk();
  await desk.clock.advance(dayMs);
  await recordStarted(
    runOf(),
    { atMs: desk.clock.now(), vcpus: 1, memoryBytes: 1n },
    await desk.books(),
  );
  await assert.rejects(desk.send(samplesOf(1, 5)), refused('invalid_argument'));
});

test('a write that fails, before or after its effect, is made good by the retry', async () => {
  const down = new IngotError('unavailable', 'the store is down');
  for (const when of ['before', 'after'] as const) {
    const desk = new Desk();
    await desk.send(samplesOf(1, 5));
    desk.store.failNext('addSamples', when, down);
    await assert.rejects(desk.send(samplesOf(6, 9)), refused('unavailable'));
    assert.equal((await desk.send(samplesOf(6, 9))).storedThrough, 9n);
    desk.store.failNext('addSamples', when, down);
    await assert.rejects(desk.send(samplesOf(10, 12)), refused('unavailable'));
    assert.equal((await desk.send(samplesOf(10, 20))).storedThrough, 20n);
    assert.deepEqual(await desk.stored(), samplesOf(1, 20));
  }
});

test('batches of one run sent at once are stored one after the other', async () => {
  const desk = new Desk();
  const same = Array.from({ length: 20 }, () => desk.send(samplesOf(1, 5)));
  const added = (await Promise.all(same)).reduce((sum, outcome) => sum + outcome.added, 0);
  assert.equal(added, 5);
  assert.deepEqual(await desk.stored(), samplesOf(1, 5));
});

test('notices count once, in any order, and a run completes with its last sample', async () => {
  const desk = new Desk();
  const { book } = await desk.books();
  await recordStopped(runOf(), { atMs: 1_001_000, lastSequence: 5n }, await desk.books());
  await recordStopped(runOf(), { atMs: 1_002_000, lastSequence: 5n }, await desk.books());
  const start = { atMs: 1_000_000, vcpus: 1, memoryBytes: 1n };
  await recordStarted(runOf(), start, await desk.books());
  await recordStarted(runOf(), { ...start, atMs: 999_999 }, await desk.books());
  assert.partialDeepStrictEqual(book.find(runOf()), {
    startedAtMs: 1_000_000,
    stopped: { atMs: 1_001_000, lastSequence: 5n },
  });
  await desk.send(samplesOf(1, 5));
  assert.equal(book.find(runOf()), undefined);
  assert.deepEqual(await desk.store.listUnfinishedRuns(), []);
  const gap = { fromMs: 1_000_000, toMs: 1_000_100, cause: 'metald_down' };
  await recordGap(runOf(), gap, await desk.books());
  await recordGap(runOf(), gap, await desk.books());
  assert.deepEqual(await desk.store.listRunGaps(runOf()), [gap]);
  const backwards = { ...gap, toMs: 999_999 };
  await assert.rejects(
    recordGap(runOf(), backwards, await desk.books()),
    refused('invalid_argument'),
  );
});

test('a completion that could not be noted is noted at the next start', async () => {
  const desk = new Desk();
  await recordStopped(runOf(), { atMs: 1_001_000, lastSequence: 5n }, await desk.books());
  desk.store.failNext('setComplete', 'before', new IngotError('unavailable', 'down'));
  await assert.rejects(desk.send(samplesOf(1, 5)), refused('unavailable'));
  desk.restart();
  assert.deepEqual((await desk.book).unfinished(), []);
  assert.deepEqual(await desk.store.listUnfinishedRuns(), []);
});
