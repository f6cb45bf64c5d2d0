import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { test } from 'node:test';
import { hashSamples } from '@ingot/contracts';
import { createLogger, isIngotError, systemClock } from '@ingot/daemon-kit';
import { SimulatedClock, tempDir } from '@ingot/testkit';
import { RunBook } from '../../actions/run-book.ts';
import { storeBatch } from '../../actions/store-batch.ts';
import type { Run } from '../../domain/run.ts';
import { withGrowth } from '../../domain/sample.ts';
import { ChdbUsageStore } from './chdb-usage-store.ts';
import { runOf, samplesOf } from '../conformance.ts';
import { durableSettings } from './schema.ts';

const logger = createLogger({ name: 'test', level: 'silent' });

function open(directory: string): Promise<ChdbUsageStore> {
  return ChdbUsageStore.open({ directory, clock: systemClock, logger });
}

test('the largest batch is one part on disk, and the settings that make it durable apply', async () => {
  await using directory = await tempDir();
  const store = await open(directory.path);
  try {
    await store.addRun(runOf());
    await store.addSamples(runOf(), withGrowth(samplesOf(1, 6000), undefined));
    const { process } = store;
    const parts = await process.query(
      `SELECT toUInt32(rows) AS parts FROM system.parts
       WHERE database = 'billing' AND table = 'samples' AND level = 0`,
    );
    assert.deepEqual(parts, [{ parts: 6000 }]);

    const tables = (await process.query(
      `SELECT create_table_query AS ddl FROM system.tables WHERE database = 'billing'`,
    )) as { ddl: string }[];
    assert.equal(tables.length, 4);
    for (const { ddl } of tables) {
      for (const [name, value] of Object.entries(durableSettings)) {
        assert.match(ddl, new RegExp(`${name} = ${value}`));
      }
    }
    const settings = await process.query(
      `SELECT name, value FROM system.settings
       WHERE name IN ('async_insert', 'input_format_parallel_parsing') ORDER BY name`,
    );
    assert.deepEqual(settings, [
      { name: 'async_insert', value: '0' },
      { name: 'input_format_parallel_parsing', value: '0' },
    ]);
  } finally {
    await store.close();
  }
});

test('a second store on the same directory is refused', async () => {
  await using directory = await tempDir();
  const store = await open(directory.path);
  try {
    await assert.rejects(open(directory.path), (error) => {
      assert.ok(isIngotError(error, 'unavailable'));
      assert.match(error.remedy, /no other billaged/);
      return true;
    });
  } finally {
    await store.close();
  }
});

test('closing waits for what is under way', async () => {
  await using directory = await tempDir();
  const store = await open(directory.path);
  await store.addRun(runOf());
  const pending = store.addSamples(runOf(), withGrowth(samplesOf(1, 6000), undefined));
  await delay(1);
  await store.close();
  await pending;
  await assert.rejects(store.listHeartbeats(), (error) => isIngotError(error, 'unavailable'));
  const again = await open(directory.path);
  assert.equal((await again.findRun(runOf()))?.tail?.sequence, 6000n);
  await again.close();
});

test('the engine killed again and again under inserts: every sample is there exactly once', async () => {
  await using directory = await tempDir();
  const store = await open(directory.path);
  const clock = new SimulatedClock(1_060_000);
  const book = await RunBook.load(store);
  const runs = [runOf(), runOf({ bootEpoch: 2 }), runOf({ hostId: 'host-2' })];
  const perBatch = 100;
  const stopAt = Date.now() + 8000;
  let failures = 0;

  /** Sends batches until time is up, each until it is acknowledged. Resolves to the last sequence. */
  async function sendAll(run: Run): Promise<number> {
    let through = 0;
    while (Date.now() < stopAt) {
      const samples = samplesOf(through + 1, through + perBatch);
      const batch = { run, samples, contentSha256: hashSamples(samples) };
      try {
        const outcome = await storeBatch(batch, { store, book, clock });
        through = Number(outcome.storedThrough);
        clock.jump(perBatch * 100);
      } catch (error) {
        assert.ok(isIngotError(error, 'unavailable'), String(error));
        failures++;
      }
    }
    return through;
  }

  async function killNowAndThen(): Promise<number> {
    let kills = 0;
    for (; Date.now() < stopAt; kills++) {
      await delay(300 + ((kills * 137) % 400));
      const pid = await store.process.pid().catch(() => undefined);
      if (pid !== undefined) process.kill(pid, 'SIGKILL');
    }
    return kills;
  }

  const killing = killNowAndThen();
  const acknowledged = await Promise.all(runs.map(sendAll));
  const kills = await killing;
  assert.ok(kills >= 5 && failures >= 5, `${kills} kills, ${failures} failed calls`);
  await delay(50);
  for (const [index, run] of runs.entries()) {
    const last = acknowledged[index]!;
    assert.ok(last >= perBatch);
    const found = await retried(() => store.readSamples(run, 1n, 1_000_000n));
    // A batch whose answer was lost at the very end may be there too, whole.
    assert.ok(found.length === last || found.length === last + perBatch);
    assert.deepEqual(found, samplesOf(1, found.length));
  }
  await store.close();
});

async function retried<T>(read: () => Promise<T>): Promise<T> {
  for (let tries = 0; ; tries++) {
    try {
      return await read();
    } catch (error) {
      if (tries === 5) throw error;
    }
  }
}
