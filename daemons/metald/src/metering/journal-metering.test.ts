import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { createLogger, IngotError } from '@ingot/daemon-kit';
import { SimulatedClock } from '@ingot/testkit';
import { JournalMetering } from './journal-metering.ts';
import { runOf, TestBilling, TestCounters } from './testing/test-billing.ts';

const root = mkdtempSync('/tmp/ingot-metering-');
after(() => rmSync(root, { recursive: true, force: true }));
const logger = createLogger({ name: 'test', level: 'silent' });
let dirs = 0;

function setUp() {
  const dir = join(root, String(dirs++));
  const clock = new SimulatedClock();
  const billing = new TestBilling();
  const counters = new TestCounters();
  const life = (): JournalMetering =>
    new JournalMetering(
      { hostId: 'host-1', dir, segmentBytes: 20_000 },
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
  return { clock, billing, counters, life, down, advance };
}

const covered = (samples: { coversMs: number }[]): number =>
  samples.reduce((sum, { coversMs }) => sum + coversMs, 0);
const ascending = (samples: { sequence: bigint }[]): boolean =>
  samples.every(({ sequence }, index) => sequence === BigInt(index + 1));

test('a life from start to stop: every millisecond once, in order', async () => {
  const { clock, billing, counters, life, advance } = setUp();
  const metering = life();
  await metering.start();
  await advance(37);
  const run = runOf();
  const startedAt = clock.now();
  await metering.runStarted(run, startedAt);
  counters.rxBytes += 50n;
  await advance(150_000);
  assert.ok(billing.run(run.vmId).samples.length >= 600, 'a batch a minute');
  assert.ok(Math.max(...billing.batches) <= 600);
  counters.cpuNs = 77n;
  await advance(142);
  await metering.sampleNow(run.vmId);
  counters.gone.add(run.pid);
  await advance(3);
  await metering.runStopped(run.vmId, clock.now());
  await advance(50);

  const billed = billing.run(run.vmId);
  assert.deepEqual(billed.events, ['started', 'stopped']);
  assert.ok(ascending(billed.samples));
  assert.equal(covered(billed.samples), clock.now() - 50 - startedAt);
  const last = billed.samples.at(-1);
  assert.deepEqual([last?.cpuNs, last?.netRxBytes, last?.memoryBytes], [77n, 50n, 128n << 20n]);
  assert.equal(billed.lastSequence, last?.sequence);
  assert.deepEqual(billed.gaps, []);
  assert.ok(billing.heartbeats.some((runs) => runs.some(({ vmId }) => vmId === run.vmId)));
  assert.deepEqual(metering.openRuns(), []);
  await metering.stop();
});

test('billaged away for long, answers lost, metald restarted in between: nothing lost, nothing twice', async () => {
  const { clock, billing, life, down, advance } = setUp();
  const first = life();
  await first.start();
  const run = runOf();
  const startedAt = clock.now();
  await first.runStarted(run, startedAt);
  await advance(90_000);
  assert.equal(first.billingDegraded, false);
  billing.failBefore = down;
  await advance(900_000);
  assert.equal(first.billingDegraded, true);
  await first.stop();
  const stoppedAt = clock.now();
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
  await second.runStopped(run.vmId, clock.now());
  await advance(60_000);
  const billed = billing.run(run.vmId);
  assert.ok(ascending(billed.samples));
  assert.equal(billed.lastSequence, billed.samples.at(-1)?.sequence);
  assert.equal(billed.gaps.length, 1);
  const [gap] = billed.gaps;
  assert.deepEqual(gap, {
    fromUnixMs: stoppedAt,
    toUnixMs: stoppedAt + 20_000,
    cause: 'metald_down',
  });
  assert.equal(covered(billed.samples) + 20_000, clock.now() - 60_000 - startedAt);
  assert.equal(second.billingDegraded, false);
  await second.stop();
});

test('one run that is refused holds up no other', async () => {
  const { clock, billing, life, advance } = setUp();
  const metering = life();
  await metering.start();
  const [bad, good] = [runOf(), runOf()];
  billing.failBefore = (vmId) => {
    if (vmId === bad.vmId) throw new IngotError('batch_conflict', 'no');
  };
  await metering.runStarted(bad, clock.now());
  await metering.runStarted(good, clock.now());
  await advance(130_000);
  assert.ok(billing.run(good.vmId).samples.length >= 600);
  assert.equal(billing.run(bad.vmId).samples.length, 0);
  assert.equal(metering.billingDegraded, true);
  await metering.stop();
});

test('a run that ended while metald was down is closed with a gap', async () => {
  const { clock, billing, life, advance } = setUp();
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
  await advance(100);
  const billed = billing.run(run.vmId);
  assert.deepEqual(billed.gaps, [
    { fromUnixMs: lastAt, toUnixMs: lastAt + 5_000, cause: 'metald_down' },
  ]);
  assert.deepEqual(billed.events, ['started', 'stopped']);
  assert.equal(covered(billed.samples), 1_000);
  await second.stop();
});

test('billaged that forgot samples gets them again; what the journal lost too is declared', async () => {
  const { clock, billing, life, advance } = setUp();
  const metering = life();
  await metering.start();
  const run = runOf();
  await metering.runStarted(run, clock.now());
  await advance(125_000);
  const billed = billing.run(run.vmId);
  const before = billed.samples.length;
  billed.samples.length = 500;
  await advance(60_000);
  assert.ok(ascending(billed.samples) && billed.samples.length > before);

  await advance(300_000);
  billed.samples.length = 10;
  await advance(120_000);
  assert.ok(
    billed.gaps.some(({ cause }) => cause === 'journal_damaged') || ascending(billed.samples),
  );
  assert.ok(billed.samples.length > 1_000);
  await metering.stop();
});

test('a living run the journal knows nothing of is metered on, with what is lost declared', async () => {
  const { billing, life, advance } = setUp();
  const metering = life();
  await metering.start();
  const run = runOf();
  await metering.runRecovered(run);
  await advance(130_000);
  const billed = billing.run(run.vmId);
  assert.equal(billed.gaps[0]?.cause, 'journal_damaged');
  assert.equal(billed.samples[0]?.coversMs, 0);
  assert.ok(billed.samples.length >= 600);
  await metering.stop();
});

test('setting the clock bills nobody for time that did not pass', async () => {
  const { clock, billing, life, advance } = setUp();
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
  await advance(50);
  assert.equal(covered(billing.run(run.vmId).samples), 3_050);
  await metering.stop();
});
