import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { isIngotError, systemClock } from '@ingot/daemon-kit';
import { tempDir } from '@ingot/testkit';
import { Child } from './child.ts';
import { isAlive, processRef } from './process-ref.ts';
import { RunState } from './run-state.ts';

function child(dataDir: string, script: string, reports: string[]): Child {
  return new Child(
    {
      name: 'example',
      file: process.execPath,
      args: ['-e', script],
      cwd: dataDir,
      env: {},
      probe: () => Promise.resolve({ ready: true, reasons: [] }),
    },
    {
      dataDir,
      clock: systemClock,
      runState: new RunState(dataDir),
      report: (line) => reports.push(line),
    },
  );
}

async function until(look: () => boolean): Promise<void> {
  for (let tries = 0; !look(); tries++) {
    assert.ok(tries < 400, 'it did not happen within 10 s');
    await delay(25);
  }
}

test('a process that dies early is an error with the end of its log', async () => {
  await using dir = await tempDir();
  const fatal = JSON.stringify({ level: 60, msg: 'port 1 is taken', remedy: 'take another' });
  new RunState(dir.path).lock({ pid: 1, startTicks: 0, bootId: '', phase: 'starting', listen: {} });
  const dying = child(dir.path, `console.log(${JSON.stringify(fatal)}); process.exit(4)`, []);
  await dying.start();
  await until(() => processRef(dying.pid ?? 0) === undefined);
  await delay(50);
  await assert.rejects(dying.ready(AbortSignal.timeout(5000)), (error) => {
    assert.ok(isIngotError(error, 'unavailable'));
    assert.equal(error.message, 'example exited with 4 before it was ready');
    assert.deepEqual(error.log, ['fatal: port 1 is taken → take another']);
    return true;
  });
  await dying.stop();
});

test('a process that is killed is started again; a stopped one is not', async () => {
  await using dir = await tempDir();
  const runState = new RunState(dir.path);
  runState.lock({ pid: 1, startTicks: 0, bootId: '', phase: 'starting', listen: {} });
  const reports: string[] = [];
  const living = child(dir.path, 'setInterval(() => {}, 1000)', reports);
  await living.start();
  await living.ready(AbortSignal.timeout(5000));
  living.watch();
  const first = living.pid ?? 0;
  process.kill(first, 'SIGKILL');
  await until(() => runState.child('example')?.pid !== first);
  const second = runState.child('example');
  assert.ok(second);
  assert.equal(second.restarts, 1);
  assert.match(reports.join('\n'), /example was ended by SIGKILL; it is started again/);
  await living.stop();
  assert.equal(isAlive(second), false);
  assert.equal(runState.child('example'), undefined);
});
