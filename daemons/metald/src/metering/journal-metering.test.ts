import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { createLogger, IngotError } from '@ingot/daemon-kit';
import { SimulatedClock } from '@ingot/testkit';
import { JournalMetering } from './journal-metering.ts';
import { runOf, TestBilling, TestCounters } from './test/test-billing.ts';

const root = mkdtempSync('/tmp/ingot-metering-');
after(() => rmSync(root, { recursive: true, force: true }));
const logger = createLogger({ name: 'test', level: 'silent' });
let dirs = 0;

function setUp() {
  const dir = join(root, String(dirs++));
  const clock = new SimulatedClock();
  const billing = new TestBilling();
  const counters = new TestCounters();
  const life = (segmentBytes = 20_000): JournalMetering =>
    new JournalMetering(
      { hostId: 'host-1', dir, segmentBytes },
      { client: billing.client, counters, clock, random: () => 0.5, logger },
    );
  const down = (): never => {
    throw new IngotError('unavailable', 'billaged is down');
  };
  /** Lets files be read and written, which simulated time does not wait for. */
  const advance = async (ms: number): Promise<void> => {
    for (let left = ms; left > 0; left -= 5_000) {
      await clock.advance(Math.min(left, 5_000));
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  /** Advances until it is true: sending also waits for a real disk. */
  const until = async (isTrue: () => boolean): Promise<void> => {
    for (let tries = 0; tries < 2_000 && !isTrue(); tries++) await advance(100);
    assert.ok(isTrue());
  };
  const stopped = (vmId: string): Promise<void> =>
    until(() => billing.run(vmId).events.includes('stopped'));
  return { clock, billing, counters, life, down, advance, until, stopped };
}

const covered = (samples: { coversMs: number }[]): number =>
  samples.reduce((sum, { coversMs }) => sum + coversMs, 0);
const ascending = (samples: { sequence: bigint }[]): boolean =>
  samples.every(({ sequence }, index) => sequence === BigInt(index + 1));

test('a life from start to stop: every millisecond once, in order', async () => {
  const { clock, billing, counters, life, advance, until, stopped } = setUp();
  const metering = life();
  await metering.start();
  await advance(37);
  const run = runOf();
  const startedAt = clock.now();
  await metering.runStarted(run, startedAt);
  counters.rxBytes += 50n;
  await advance(150_000);
  await until(() => billing.run(run.vmId).samples.length >= 600);
  counters.cpuNs = 77n;
  await advance(142);
  await metering.sampleNow(run.vmId);
  counters.gone.add(run.pid);
  await advance(3);
  const stoppedAt = clock.now();
  await metering.runStopped(run.vmId, stoppedAt);
  await stopped(run.vmId);

  const billed = billing.run(run.vmId);
  assert.deepEqual(billed.events, ['started', 'stopped']);
  assert.ok(ascending(billed.samples));
  assert.equal(covered(billed.samples), stoppedAt - startedAt);
  const last = billed.samples.at(-1);
  assert.deepEqual([last?.cpuNs, last?.netRxBytes, last?.memoryBytes], [77n, 50n, 128n << 20n]);
  assert.equal(billed.lastSequence, last?.sequence);
  assert.deepEqual(billed.gaps, []);
  assert.ok(billing.heartbeats.some((runs) => runs.some(({ vmId }) => vmId === run.vmId)));
  await until(() => billing.heartbeats.at(-1)?.length === 0);
  assert.deepEqual(metering.openRuns(), []);
  await metering.stop();
});

test('billaged away for long, answers lost, metald restarted in between: nothing lost, nothing twice', async () => {
  const { clock, billing, life, down, advance, until, stopped } = setUp();
  const first = life();
  await first.start();
  const run = runOf();
  const startedAt = clock.now();
  await first.runStarted(run, startedAt);
  await advance(90_000);
  await until(() => billing.run(run.vmId).samples.length > 0);
  assert.equal(first.billingDegraded, false);
  billing.failBefore = down;
  await advance(900_000);
  await until(() => first.billingDegraded);
  await first.stop();
  const downAt = clock.now();
  clock.jump(20_000);

  const second = life();
  await second.start();
  assert.deepEqual(second.openRuns(), [{ vmId: run.vmId, bootEpoch: 1 }]);
  await second.runRecovered(run);
  await advance(900_000);
  billing.failBefore = () => undefined;
  let lost = 0;
  billing.failAfter = () => {
    if (lost++ % 3 === 0) down();
  };
  await advance(300_000);
  billing.failAfter = () => undefined;
  const endedAt = clock.now();
  await second.runStopped(run.vmId, endedAt);
  await stopped(run.vmId);
  await until(() => !second.billingDegraded);
  const billed = billing.run(run.vmId);
  assert.ok(ascending(billed.samples));
  assert.equal(billed.lastSequence, billed.samples.at(-1)?.sequence);
  assert.equal(billed.gaps.length, 1);
  const [gap] = billed.gaps;
  assert.deepEqual(gap, {
    fromUnixMs: downAt,
    toUnixMs: downAt + 20_000,
    cause: 'metald_down',
  });
  assert.equal(covered(billed.samples) + 20_000, endedAt - startedAt);
  await second.stop();
});

test('one run that is refused holds up no other', async () => {
  const { clock, billing, life, advance, until } = setUp();
  const metering = life();
  await metering.start();
  const [bad, good] = [runOf(), runOf()];
  billing.failBefore = (vmId) => {
    if (vmId === bad.vmId) throw new IngotError('batch_conflict', 'no');
  };
  await metering.runStarted(bad, clock.now());
  await metering.runStarted(good, clock.now());
  await advance(130_000);
  await until(() => billing.run(good.vmId).samples.length >= 600);
  assert.equal(billing.run(bad.vmId).samples.length, 0);
  assert.equal(metering.billingDegraded, true);
  await metering.stop();
});

test('a run that ended while metald was down is closed with a gap', async () => {
  const { clock, billing, life, advance, stopped } = setUp();
  const first = life();
  await first.start();
  const run = runOf();
  await first.runStarted(run, clock.now());
  await advance(1_000);
  await first.stop();
  const lastAt = clock.now();
  await advance(5_000);
  const second = life();
  await second.start();
  await second.runStopped(run.vmId, clock.now());
  await stopped(run.vmId);
  const billed = billing.run(run.vmId);
  assert.deepEqual(billed.gaps, [
    { fromUnixMs: lastAt, toUnixMs: lastAt + 5_000, cause: 'metald_down' },
  ]);
  assert.deepEqual(billed.events, ['started', 'stopped']);
  assert.equal(covered(billed.samples), 1_000);
  await second.stop();
});

for (const [segmentBytes, title] of [
  [1 << 20, 'billaged that forgot samples gets them again'],
  [8_000, 'what billaged forgot and the journal has let go is declared'],
] as const) {
  test(title, async () => {
    const { clock, billing, life, advance, until } = setUp();
    const metering = life(segmentBytes);
    await metering.start();
    const run = runOf();
    await metering.runStarted(run, clock.now());
    const billed = billing.run(run.vmId);
    await advance(150_000);
    await until(() => billed.samples.length > 1_000);
    await advance(1_000);
    const before = Number(billed.samples.at(-1)?.sequence);
    billed.samples.length = 10;
    await until(() => Number(billed.samples.at(-1)?.sequence) > before);
    if (segmentBytes > 8_000) {
      assert.ok(ascending(billed.samples));
      assert.deepEqual(billed.gaps, []);
    } else {
      assert.ok(billed.samples.length < before, 'trimmed by now');
      assert.deepEqual(
        new Set(billed.gaps.map(({ cause }) => cause)),
        new Set(['journal_damaged']),
      );
    }
    await metering.stop();
  });
}

test('a living run the journal knows nothing of is metered on, with what is lost declared', async () => {
  const { billing, life, advance, until } = setUp();
  const metering = life();
  await metering.start();
  const run = runOf();
  await metering.runRecovered(run);
  await advance(130_000);
  const billed = billing.run(run.vmId);
  await until(() => billed.samples.length >= 600);
  assert.equal(billed.gaps[0]?.cause, 'journal_damaged');
  assert.equal(billed.samples[0]?.coversMs, 0);
  await metering.stop();
});

test('setting the clock bills nobody for time that did not pass', async () => {
  const { clock, billing, life, advance, stopped } = setUp();
  const metering = life();
  await metering.start();
  const run = runOf();
  await metering.runStarted(run, clock.now());
  await advance(1_000);
  clock.jump(240_000);
  await advance(1_000);
  clock.jump(-480_000);
  await advance(1_050);
  await metering.runStopped(run.vmId, clock.now());
  await stopped(run.vmId);
  assert.equal(covered(billing.run(run.vmId).samples), 3_050);
  await metering.stop();
});
