import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { createLogger, systemClock } from '@ingot/daemon-kit';
import { type TempDir, tempDir } from '@ingot/testkit';
import * as fc from 'fast-check';
import { withGrowth } from '../../domain/sample.ts';
import { ChdbUsageStore } from './chdb-usage-store.ts';
import { runOf, sampleOf, testUsageStore } from '../conformance.ts';
import { MemoryUsageStore } from '../memory/memory-usage-store.ts';

const directories: TempDir[] = [];
after(() => Promise.all(directories.map((directory) => directory.remove())));

async function openInTempDir(): Promise<ChdbUsageStore> {
  const directory = await tempDir();
  directories.push(directory);
  const logger = createLogger({ name: 'test', level: 'silent' });
  return ChdbUsageStore.open({ directory: directory.path, clock: systemClock, logger });
}

testUsageStore('chDB', openInTempDir);

test('chDB and memory agree on any range, before and after parts are merged', async () => {
  const chdb = await openInTempDir();
  const memory = new MemoryUsageStore();
  const runs = ['shop', 'blog', 'shop'].map((deploymentId, index) =>
    runOf({ deploymentId, bootEpoch: index + 1 }),
  );
  for (const store of [chdb, memory]) {
    for (const run of runs) {
      await store.addRun(run);
      for (let first = 1; first < 300; first += 60) {
        // A clock that runs unevenly and steps back.
        const samples = Array.from({ length: 60 }, (_, index) => {
          const n = first + index;
          return sampleOf(n, { atUnixMs: BigInt(1000 + n * 10 - (n % 7) * 25), coversMs: n });
        });
        await store.addSamples(
          run,
          withGrowth(samples, first > 1 ? sampleOf(first - 1) : undefined),
        );
      }
    }
  }
  const instant = fc.integer({ min: 900, max: 4200 });
  const agree = fc.asyncProperty(
    instant,
    instant,
    fc.constantFrom(undefined, 'shop', 'none'),
    async (fromMs, toMs, deploymentId) => {
      const query = { tenantId: 'acme', deploymentId, fromMs, toMs };
      assert.deepEqual(await chdb.sumUsage(query), await memory.sumUsage(query));
    },
  );
  try {
    await fc.assert(agree, { numRuns: 60 });
    await chdb.process.query('OPTIMIZE TABLE billing.samples FINAL');
    await fc.assert(agree, { numRuns: 60 });
  } finally {
    await chdb.close();
  }
});
