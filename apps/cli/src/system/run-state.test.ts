import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { isIngotError } from '@ingot/daemon-kit';
import { tempDir } from '@ingot/testkit';
import { processRef } from './process-ref.ts';
import { RunState, type UpRecord } from './run-state.ts';

function recordOf(pid: number): UpRecord {
  const ref = processRef(pid);
  assert.ok(ref);
  return { ...ref, phase: 'starting', listen: {} };
}

test('one data directory belongs to one living process', async () => {
  await using dir = await tempDir();
  const other = spawn('sleep', ['60']);
  await once(other, 'spawn');
  const state = new RunState(dir.path);
  state.lock(recordOf(other.pid ?? 0));
  assert.throws(
    () => state.lock(recordOf(process.pid)),
    (error) =>
      isIngotError(error, 'illegal_state') && error.message.includes(`process ${other.pid}`),
  );
  other.kill('SIGKILL');
  await once(other, 'exit');
  state.lock(recordOf(process.pid));
  assert.equal(state.up()?.pid, process.pid);
  state.unlock();
  assert.equal(state.up(), undefined);
});

test('a pid that another process has by now is no lock', async () => {
  await using dir = await tempDir();
  const state = new RunState(dir.path);
  const mine = recordOf(process.pid);
  state.lock({ ...mine, startTicks: mine.startTicks - 1 });
  state.lock(mine);
  assert.equal(state.up()?.startTicks, mine.startTicks);
});
