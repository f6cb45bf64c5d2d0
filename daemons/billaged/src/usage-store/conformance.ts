import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Run } from '../domain/run.ts';
import { type Sample, withGrowth } from '../domain/sample.ts';
import type { UsageStore } from './usage-store.ts';

const big = 2n ** 64n - 1n;

export function runOf(fields: Partial<Run> = {}): Run {
  return {
    hostId: 'host-1',
    vmId: '6f1e0c6e-0d0a-4b53-9d53-2f1f5c4f6a01',
    bootEpoch: 1,
    tenantId: 'acme',
    deploymentId: 'shop',
    ...fields,
  };
}

export function sampleOf(sequence: number, fields: Partial<Sample> = {}): Sample {
  const n = BigInt(sequence);
  return {
    sequence: n,
    atUnixMs: 1_000_000n + n * 100n,
    coversMs: 100,
    cpuNs: n * 7n,
    memoryBytes: 128n,
    residentBytes: 64n,
    diskReadBytes: n * 11n,
    diskWriteBytes: n * 13n,
    netRxBytes: n * 17n,
    netTxBytes: n * 19n,
    ...fields,
  };
}

/** The samples first … last of a run. */
export function samplesOf(first: number, last: number): Sample[] {
  return Array.from({ length: last - first + 1 }, (_, index) => sampleOf(first + index));
}

/**
 * What every usage store must do.
 *
 * @param open - an empty store.
 */
export function testUsageStore(name: string, open: () => Promise<UsageStore>): void {
  const everything = { tenantId: 'acme', deploymentId: undefined, fromMs: 0, toMs: 2 ** 52 };
  const check = (title: string, body: (store: UsageStore) => Promise<void>): void => {
    test(`${name}: ${title}`, async () => {
      const store = await open();
      try {
        await body(store);
      } finally {
        await store.close();
      }
    });
  };

  check('keeps runs and what happened to them', async (store) => {
    const run = runOf();
    assert.equal(await store.findRun(run), undefined);
    await store.addRun(run);
    const known = { run, startedAtMs: undefined, stopped: undefined, tail: undefined };
    assert.deepEqual(await store.findRun(run), known);
    await store.setStarted(run, { atMs: 5, vcpus: 1, memoryBytes: big });
    await store.addSamples(run, withGrowth(samplesOf(1, 3), undefined));
    await store.setStopped(run, { atMs: 9, lastSequence: 3n });
    const record = {
      run,
      startedAtMs: 5,
      stopped: { atMs: 9, lastSequence: 3n },
      tail: sampleOf(3),
    };
    assert.deepEqual(await store.findRun(run), record);
    assert.deepEqual(await store.listUnfinishedRuns(), [record]);
    await store.setComplete(run, 3n);
    assert.deepEqual(await store.listUnfinishedRuns(), []);
    await store.setStopped(run, { atMs: 11, lastSequence: 4n });
    const reopened = { ...record, stopped: { atMs: 9, lastSequence: 4n } };
    assert.deepEqual(await store.listUnfinishedRuns(), [reopened]);
  });

  check('tells runs apart by host, VM and boot', async (store) => {
    const runs = [runOf(), runOf({ hostId: 'host-2' }), runOf({ bootEpoch: 2 })];
    for (const [index, run] of runs.entries()) {
      await store.addRun(run);
      await store.addSamples(run, withGrowth(samplesOf(1, index + 1), undefined));
    }
    for (const [index, run] of runs.entries()) {
      assert.equal((await store.findRun(run))?.tail?.sequence, BigInt(index + 1));
      assert.deepEqual(await store.readSamples(run, 1n, 9n), samplesOf(1, index + 1));
    }
  });

  check('gives samples back to the last bit', async (store) => {
    const run = runOf({ tenantId: `it's \\ "a" \n\t{x:String} ; --`, hostId: 'höst/1' });
    const extreme: Sample = {
      sequence: big,
      atUnixMs: 2n ** 53n - 1n,
      coversMs: 2 ** 32 - 1,
      cpuNs: big,
      memoryBytes: big,
      residentBytes: big,
      diskReadBytes: big,
      diskWriteBytes: big,
      netRxBytes: big,
      netTxBytes: big,
    };
    await store.addRun(run);
    await store.addSamples(run, withGrowth([sampleOf(1), extreme], undefined));
    assert.deepEqual(await store.readSamples(run, 1n, big), [sampleOf(1), extreme]);
    assert.deepEqual(await store.readSamples(run, 2n, big - 1n), []);
    assert.deepEqual((await store.findRun(run))?.tail, extreme);
    const [sum] = await store.sumUsage({ ...everything, tenantId: run.tenantId, toMs: 2 ** 53 });
    assert.equal(sum?.usage.memoryByteMs, 12_800n + big * (2n ** 32n - 1n));
    assert.equal(sum?.usage.cpuNs, big);
  });

  check('sums usage by deployment over a half-open range', async (store) => {
    for (const [deploymentId, last] of [
      ['blog', 10],
      ['shop', 20],
    ] as const) {
      const run = runOf({ deploymentId, bootEpoch: last });
      await store.addRun(run);
      await store.addSamples(run, withGrowth(samplesOf(1, last), undefined));
    }
    const other = runOf({ tenantId: 'other', bootEpoch: 99 });
    await store.addRun(other);
    await store.addSamples(other, withGrowth(samplesOf(1, 5), undefined));

    const of = (samples: bigint): object => ({
      cpuNs: samples * 7n,
      memoryByteMs: samples * 12_800n,
      vmMs: samples * 100n,
      diskReadBytes: samples * 11n,
      diskWriteBytes: samples * 13n,
      netRxBytes: samples * 17n,
      netTxBytes: samples * 19n,
      samples,
    });
    assert.deepEqual(await store.sumUsage(everything), [
      { deploymentId: 'blog', usage: of(10n) },
      { deploymentId: 'shop', usage: of(20n) },
    ]);
    const range = { ...everything, deploymentId: 'shop', fromMs: 1_000_300, toMs: 1_000_500 };
    assert.deepEqual(await store.sumUsage(range), [{ deploymentId: 'shop', usage: of(2n) }]);
    assert.deepEqual(await store.sumUsage({ ...everything, tenantId: 'nobody' }), []);
  });

  check('keeps gaps and finds those that touch a range', async (store) => {
    const run = runOf();
    await store.addRun(run);
    const gaps = [
      { fromMs: 10, toMs: 20, cause: 'metald_down' },
      { fromMs: 30, toMs: 30, cause: "o'clock" },
    ];
    for (const gap of gaps) await store.addGap(run, gap);
    assert.deepEqual(await store.listRunGaps(run), gaps);
    assert.deepEqual(await store.listRunGaps(runOf({ bootEpoch: 2 })), []);
    const named = gaps.map((gap) => ({ vmId: run.vmId, bootEpoch: 1, ...gap }));
    assert.deepEqual(await store.listGaps({ ...everything, fromMs: 15, toMs: 31 }), named);
    assert.deepEqual(await store.listGaps({ ...everything, fromMs: 21, toMs: 30 }), []);
    assert.deepEqual(await store.listGaps({ ...everything, tenantId: 'other' }), []);
  });

  check('keeps the newest heartbeat of each host', async (store) => {
    const beat = (hostId: string, atMs: number, allKnownAtMs: number | undefined) => ({
      hostId,
      atMs,
      allKnownAtMs,
      runs: [{ vmId: runOf().vmId, bootEpoch: 3, lastSequence: big }],
    });
    await store.putHeartbeat(beat('a', 100, undefined));
    await store.putHeartbeat(beat('b', 150, 150));
    await store.putHeartbeat(beat('a', 200, 100));
    await store.putHeartbeat({ ...beat('b', 140, 140), runs: [] });
    assert.deepEqual(await store.listHeartbeats(), [beat('a', 200, 100), beat('b', 150, 150)]);
  });
}
