import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { freePort, tempDir } from '@ingot/testkit';
import { ingot } from '../test/test-context.ts';

async function listenOn(port: number): Promise<Server> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return server;
}

interface DoctorAnswer {
  ok: boolean;
  checks: { name: string; status: string; detail: string; remedy: string }[];
}

test('up on a taken port names the port, who holds it and the setting, and leaves nothing', async () => {
  await using dir = await tempDir();
  const port = await freePort();
  const server = await listenOn(port);
  const env = { INGOT_DATA_DIR: dir.path, INGOT_BUILDERD_LISTEN: `127.0.0.1:${port}` };
  const base = { INGOT_PORT_BASE: String(await freePort()) };
  const run = await ingot(['up'], { ...base, ...env });
  server.close();
  assert.equal(run.code, 1);
  assert.match(
    run.err,
    new RegExp(`port ${port}, which builderd needs, is taken by .+ \\(process ${process.pid}\\)`),
  );
  assert.match(run.err, /→ .*INGOT_BUILDERD_LISTEN/);
  assert.ok(!existsSync(join(dir.path, 'run', 'up.json')));
});

test('up without root says so', async () => {
  await using dir = await tempDir();
  const run = await ingot(['up'], { INGOT_DATA_DIR: dir.path }, { isRoot: false });
  assert.equal(run.code, 1);
  assert.match(run.err, /this is not root.*\n {2}→ .*sudo/);
});

test('doctor --json lists every check, with a remedy for what is not ok', async () => {
  await using dir = await tempDir();
  const port = await freePort();
  const server = await listenOn(port);
  const env = { INGOT_DATA_DIR: dir.path, INGOT_METALD_LISTEN: `127.0.0.1:${port}` };
  const run = await ingot(['doctor', '--json'], env);
  server.close();
  const answer = JSON.parse(run.out) as DoctorAnswer;
  assert.equal(run.code, 1);
  assert.equal(answer.ok, false);
  const names = answer.checks.map(({ name }) => name);
  for (const name of ['node', 'root', 'program qemu-system-x86_64', 'disk', 'virtualisation']) {
    assert.ok(names.includes(name), name);
  }
  for (const { name, status, remedy } of answer.checks) {
    assert.equal(remedy === '', status === 'ok', name);
  }
  const metald = answer.checks.find(({ name }) => name === 'port of metald');
  assert.equal(metald?.status, 'fail');
});

test('status of an instance that does not run fails and says how to start it', async () => {
  await using dir = await tempDir();
  const run = await ingot(['status', '--json'], { INGOT_DATA_DIR: dir.path });
  const answer = JSON.parse(run.out) as { ready: boolean; daemons: { state: string }[] };
  assert.equal(run.code, 1);
  assert.equal(answer.ready, false);
  assert.deepEqual(new Set(answer.daemons.map(({ state }) => state)), new Set(['stopped']));
});
