import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimulatedClock } from './simulated-clock.ts';

test('sleepers wake in order, and sleeps they start are kept within one advance', async () => {
  const clock = new SimulatedClock(1_000);
  const woken: [string, number][] = [];
  const note = (name: string) => woken.push([name, clock.now()]);
  void clock.sleep(30).then(() => note('late'));
  void (async () => {
    await clock.sleep(10);
    note('first');
    await clock.sleep(10);
    note('second');
  })();
  await clock.advance(25);
  assert.deepEqual(woken, [
    ['first', 1_010],
    ['second', 1_020],
  ]);
  await clock.advance(5);
  assert.deepEqual(woken.at(-1), ['late', 1_030]);
});

test('an aborted sleep rejects, and a jump moves only the wall clock', async () => {
  const clock = new SimulatedClock(0);
  const abort = new AbortController();
  const sleep = clock.sleep(10, abort.signal);
  abort.abort(new Error('stop'));
  await assert.rejects(sleep, /stop/);
  assert.equal(clock.sleeping, 0);
  clock.jump(3_600_000);
  assert.deepEqual([clock.now(), clock.monotonicMs()], [3_600_000, 0]);
});
