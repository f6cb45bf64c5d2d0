import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLogger } from '@ingot/daemon-kit';
import { SimulatedClock } from '@ingot/testkit';
import { startTick } from './tick.ts';

const logger = createLogger({ name: 'test', level: 'silent' });

test('ticks are on the grid; late ones are skipped, and a failing one ends nothing', async () => {
  const clock = new SimulatedClock();
  const at: number[] = [];
  await clock.advance(30);
  let lateMs = 0;
  // A machine that was busy wakes its sleepers late.
  const lateClock = {
    now: () => clock.now(),
    monotonicMs: () => clock.monotonicMs(),
    sleep: async (ms: number, signal?: AbortSignal) => {
      const more = lateMs;
      lateMs = 0;
      await clock.sleep(ms + more, signal);
    },
  };
  const tick = startTick({
    everyMs: 100,
    clock: lateClock,
    logger,
    task: () => {
      at.push(clock.monotonicMs());
      if (at.length === 1) throw new Error('no');
      if (at.length === 2) lateMs = 250;
    },
  });
  await clock.advance(770);
  assert.deepEqual(at, [100, 200, 550, 600, 700, 800]);
  await tick.stop();
});

test('a timer that fires a little early makes no second tick', async () => {
  const clock = new SimulatedClock();
  const at: number[] = [];
  const early = {
    now: () => clock.now(),
    monotonicMs: () => clock.monotonicMs(),
    sleep: (ms: number, signal?: AbortSignal) => clock.sleep(ms - 0.4, signal),
  };
  const task = (): void => void at.push(Math.round(clock.monotonicMs()));
  const tick = startTick({ everyMs: 100, clock: early, logger, task });
  await clock.advance(350);
  assert.deepEqual(at, [100, 200, 300]);
  await tick.stop();
});
