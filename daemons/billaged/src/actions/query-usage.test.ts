import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hashSamples } from '@ingot/contracts';
import { IngotError } from '@ingot/daemon-kit';
import { SimulatedClock } from '@ingot/testkit';
import * as fc from 'fast-check';
import { defaultPrices, rateUsage } from '../domain/rating.ts';
import type { Sample } from '../domain/sample.ts';
import { addUsage, noUsage, type Usage } from '../domain/usage.ts';
import { runOf } from '../usage-store/conformance.ts';
import { MemoryUsageStore } from '../usage-store/memory/memory-usage-store.ts';
import { HostWatch } from './host-watch.ts';
import { queryUsage } from './query-usage.ts';
import { RunBook } from './run-book.ts';
import { storeBatch } from './store-batch.ts';

const startMs = 1_000_000;
const growth = fc.bigInt({ min: 0n, max: 2n ** 40n });

/** A run of up to 60 samples whose clock also steps back now and then. */
const lives: fc.Arbitrary<Sample[]> = fc
  .array(fc.record({ stepMs: fc.integer({ min: -50, max: 200 }), grown: growth }), {
    minLength: 1,
    maxLength: 60,
    size: 'max',
  })
  .map((ticks) => {
    let total = 0n;
    let at = startMs;
    return ticks.map(({ stepMs, grown }, index) => {
      total += grown;
      at += stepMs;
      return {
        sequence: BigInt(index + 1),
        atUnixMs: BigInt(at),
        coversMs: Math.abs(stepMs),
        cpuNs: total,
        memoryBytes: 134_217_728n,
        residentBytes: grown,
        diskReadBytes: total * 3n,
        diskWriteBytes: total,
        netRxBytes: total * 2n,
        netTxBytes: total + 1n,
      };
    });
  });

/** What happens to a batch on its way: each is a lost answer, a lost batch or a restart. */
const troubles = fc.array(fc.constantFrom('none', 'before', 'after', 'restart', 'again'), {
  minLength: 1,
  maxLength: 20,
});

/** Sends the life in batches of the given sizes, each until it is acknowledged. */
async function deliver(
  store: MemoryUsageStore,
  samples: readonly Sample[],
  sizes: readonly number[],
  trouble: readonly string[],
): Promise<void> {
  const clock = new SimulatedClock(startMs);
  let book = await RunBook.load(store);
  let sent = 0;
  for (let round = 0; sent < samples.length; round++) {
    // A batch reaches back into what was sent, as after a restart of the sender.
    const from = Math.max(0, sent - (round % 3));
    const part = samples.slice(from, sent + (sizes[round % sizes.length] ?? 1));
    const event = trouble[round % trouble.length];
    if (event === 'before' || event === 'after') {
      store.failNext('addSamples', event, new IngotError('unavailable', 'down'));
    }
    const batch = { run: runOf(), samples: part, contentSha256: hashSamples(part) };
    for (let tries = event === 'again' ? 2 : 1; tries > 0; tries--) {
      await storeBatch(batch, { store, book, clock }).catch(() => tries++);
    }
    if (event === 'restart') book = await RunBook.load(store);
    sent = from + part.length;
  }
}

test('batch sizes, retries, duplicates and restarts never change a total', async () => {
  await fc.assert(
    fc.asyncProperty(
      lives,
      fc.array(fc.integer({ min: 1, max: 17 }), { minLength: 1, maxLength: 6 }),
      troubles,
      async (samples, sizes, trouble) => {
        const store = new MemoryUsageStore();
        await deliver(store, samples, sizes, trouble);
        const range = { fromMs: 0, toMs: 2 ** 50 };
        const [sum] = await store.sumUsage({ tenantId: 'acme', deploymentId: undefined, ...range });
        const last = samples.at(-1)!;
        const covered = samples.reduce((ms, { coversMs }) => ms + BigInt(coversMs), 0n);
        assert.deepEqual(sum?.usage, {
          cpuNs: last.cpuNs,
          memoryByteMs: covered * 134_217_728n,
          vmMs: covered,
          diskReadBytes: last.diskReadBytes,
          diskWriteBytes: last.diskWriteBytes,
          netRxBytes: last.netRxBytes,
          netTxBytes: last.netTxBytes,
          samples: BigInt(samples.length),
        });
      },
    ),
    { numRuns: 200 },
  );
});

test('any split of a range adds up to the whole, and so does its price', async () => {
  await fc.assert(
    fc.asyncProperty(
      lives,
      fc.array(fc.integer({ min: startMs - 4000, max: startMs + 14_000 }), { maxLength: 8 }),
      async (samples, cuts) => {
        const store = new MemoryUsageStore();
        await deliver(store, samples, [60], ['none']);
        const context = {
          store,
          book: await RunBook.load(store),
          hosts: await HostWatch.load(store),
          prices: defaultPrices,
          nowMs: startMs,
        };
        const ask = (fromMs: number, toMs: number) =>
          queryUsage({ tenantId: 'acme', deploymentId: undefined, fromMs, toMs }, context);
        const ends = [0, ...new Set(cuts.toSorted((a, b) => a - b)), 2 ** 50];
        let parts: Usage = noUsage;
        for (const [index, to] of ends.entries()) {
          const part = index === 0 ? undefined : await ask(ends[index - 1]!, to);
          parts = addUsage(parts, part?.deployments[0]?.usage ?? noUsage);
        }
        const whole = await ask(0, 2 ** 50);
        assert.deepEqual(parts, whole.deployments[0]?.usage);
        assert.equal(rateUsage(parts, defaultPrices).costNanos, whole.totalCostNanos);
      },
    ),
    { numRuns: 200 },
  );
});
