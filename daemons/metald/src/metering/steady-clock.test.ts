import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimulatedClock } from '@ingot/testkit';
import { SteadyClock } from './steady-clock.ts';

test('differences are those of the wall clock, but for its steps', async () => {
  const clock = new SimulatedClock();
  const steady = new SteadyClock(clock);
  const start = steady.read();
  assert.equal(start.unixMs, clock.now());
  for (const step of [3_600_000, -7_200_000, 10]) {
    const before = steady.read().steadyMs;
    await clock.advance(100);
    clock.jump(step);
    const { unixMs, steadyMs } = steady.read();
    assert.equal(unixMs, clock.now());
    assert.equal(steadyMs - before, 100 + (Math.abs(step) > 50 ? 0 : step));
    assert.equal(steady.steadyAt(clock.now() - 30), steadyMs - 30);
  }
});
