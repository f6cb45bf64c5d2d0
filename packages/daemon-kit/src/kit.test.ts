import { spawnSync } from 'node:child_process';
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { sql } from 'kysely';
import { z } from 'zod';
import { systemClock } from './clock.ts';
import { runCommand } from './command.ts';
import { IngotError } from './errors.ts';
import { KeyedMutex } from './keyed-mutex.ts';
import { createLogger } from './logger.ts';
import { startLoop } from './loop.ts';
import { decodePageToken, encodePageToken } from './page-token.ts';
import { backoffMs, retry } from './retry.ts';
import { readSettings } from './settings.ts';
import { openSqlite } from './sqlite.ts';

const logger = createLogger({ name: 'test', level: 'silent' });

test('settings: variables beat the file, the file beats defaults, unknown names are refused', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'ingot-kit-'));
  t.after(() => rm(dir, { recursive: true }));
  const file = join(dir, 'ingot.yaml');
  await writeFile(file, 'metald:\n  listen: 127.0.0.1:1\n  batchMs: 5\n');
  const schema = z.object({
    listen: z.string().default('x:0'),
    batchMs: z.number().default(60_000),
    pool: z.number().default(2),
  });
  const read = (env: Record<string, string>) =>
    readSettings(schema, { env, file, section: 'metald' });
  assert.deepEqual(read({ INGOT_METALD_BATCH_MS: '7', INGOT_OTHER_X: '1' }), {
    listen: '127.0.0.1:1',
    batchMs: 7,
    pool: 2,
  });
  assert.throws(() => read({ INGOT_METALD_BATCHMS: '7' }), { reason: 'config_invalid' });
  assert.throws(() => read({ INGOT_METALD_POOL: 'many' }), /pool/);
});

test('retry waits ever longer with jitter, within the cap, and ends with the signal', async () => {
  const waits: number[] = [];
  const stop = new AbortController();
  const clock = {
    ...systemClock,
    sleep: (ms: number) => {
      waits.push(ms);
      if (waits.length === 6) stop.abort(new Error('enough'));
      return Promise.resolve();
    },
  };
  const options = { clock, random: () => 1, signal: stop.signal, baseMs: 100, capMs: 1000 };
  await assert.rejects(
    retry(() => Promise.reject(new Error('no')), options),
    /enough/,
  );
  assert.deepEqual(waits, [100, 200, 400, 800, 1000, 1000]);
  assert.equal(backoffMs(3, { baseMs: 100, capMs: 1000, random: () => 0.5 }), 200);
});

test('a loop survives a failing run, runs at once when kicked, and stops', async () => {
  let runs = 0;
  const ran: (() => void)[] = [];
  const loop = startLoop({
    name: 'test',
    everyMs: 60_000,
    clock: systemClock,
    logger,
    run: () => {
      runs += 1;
      ran.shift()?.();
      return runs === 1 ? Promise.reject(new Error('first')) : Promise.resolve();
    },
  });
  const again = new Promise<void>((resolve) => ran.push(resolve));
  loop.kick();
  await again;
  await loop.stop();
  assert.equal(runs, 2);
});

test('commands: output, exit code, time-out, a missing program', async () => {
  assert.equal((await runCommand('cat', [], { input: 'hi', timeoutMs: 5000 })).stdout, 'hi');
  await assert.rejects(runCommand('ls', ['/nowhere'], { timeoutMs: 5000 }), (error) => {
    assert.ok(error instanceof IngotError && error.reason === 'command_failed');
    assert.match(error.log.join('\n'), /nowhere/);
    return true;
  });
  await assert.rejects(runCommand('sleep', ['5'], { timeoutMs: 50 }), {
    reason: 'deadline_exceeded',
  });
  await assert.rejects(runCommand('no-such-program', [], { timeoutMs: 50 }), {
    reason: 'missing_program',
  });
  await assert.rejects(runCommand('yes', [], { timeoutMs: 5000, maxOutputBytes: 1000 }), {
    reason: 'command_failed',
  });
});

test('sqlite: migrations run once, transactions roll back', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'ingot-kit-'));
  t.after(() => rm(dir, { recursive: true }));
  const path = join(dir, 'deep', 'x.db');
  const migrations = { '0001_thing': ['CREATE TABLE thing (id TEXT PRIMARY KEY) STRICT'] };
  const open = () => openSqlite<{ thing: { id: string } }>(path, migrations);
  const first = open();
  await first.insertInto('thing').values({ id: 'a' }).execute();
  const failing = first.transaction().execute(async (trx) => {
    await trx.insertInto('thing').values({ id: 'b' }).execute();
    throw new Error('no');
  });
  await assert.rejects(failing, /no/);
  await first.destroy();
  const second = open();
  assert.deepEqual(await second.selectFrom('thing').selectAll().execute(), [{ id: 'a' }]);
  await second.destroy();
});

test('a database on a full disk says so, in a transaction too, and goes on when there is room', async () => {
  const migrations = { '0001_thing': ['CREATE TABLE thing (id TEXT PRIMARY KEY) STRICT'] };
  const db = openSqlite<{ thing: { id: string } }>(':memory:', migrations);
  await sql`PRAGMA max_page_count = 8`.execute(db);
  const add = (id: string) => db.insertInto('thing').values({ id }).execute();
  await assert.rejects(add('x'.repeat(100_000)), { reason: 'disk_full' });
  const failing = db.transaction().execute(async (trx) => {
    await trx
      .insertInto('thing')
      .values({ id: 'y'.repeat(100_000) })
      .execute();
  });
  await assert.rejects(failing, { reason: 'disk_full' });
  await add('a');
  await db.destroy();
});

test('page tokens: round trip, empty, forged', () => {
  const schema = z.object({ after: z.string() });
  assert.deepEqual(decodePageToken(schema, encodePageToken({ after: 'x' })), { after: 'x' });
  assert.equal(decodePageToken(schema, ''), undefined);
  assert.throws(() => decodePageToken(schema, 'zzz'), { reason: 'invalid_argument' });
});

test('a keyed mutex keeps order within a key, also after a failure', async () => {
  const mutex = new KeyedMutex();
  const order: string[] = [];
  const gate = Promise.withResolvers<void>();
  const first = mutex.run('a', async () => {
    await gate.promise;
    order.push('a1');
    throw new Error('a1 failed');
  });
  const second = mutex.run('a', () => Promise.resolve(order.push('a2')));
  await mutex.run('b', () => Promise.resolve(order.push('b1')));
  gate.resolve();
  await assert.rejects(first, /a1 failed/);
  await second;
  assert.deepEqual(order, ['b1', 'a1', 'a2']);
});

test('a logger never writes what is secret', () => {
  const lines: string[] = [];
  const spy = createLogger({ name: 'test', destination: { write: (line) => lines.push(line) } });
  spy.info({ token: 'hunter2', call: { authorization: 'hunter2', env: ['A=hunter2'] } }, 'call');
  assert.doesNotMatch(lines.join(), /hunter2/);
});

test('what a daemon writes is for its own user', () => {
  const script = `import { runMain } from ${JSON.stringify(join(import.meta.dirname, 'run-main.ts'))};
    await runMain('test', async () => void console.log(process.umask()));`;
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
  });
  assert.equal(stdout.trim(), String(0o077));
});
