// The examples' server against what the network can bring: real sockets, the real program.
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { globSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort, type TempDir, tempDir } from '@ingot/testkit';

const host = 'Host: shop\r\n';
const get = `GET /api HTTP/1.1\r\n${host}\r\n`;
let temp: TempDir;
let program: ChildProcess;
let port: number;

before(async () => {
  temp = await tempDir();
  const output = join(temp.path, 'shop');
  const examples = join(import.meta.dirname, '..');
  const sources = ['shop/shop.c', ...globSync('http-server/*.c', { cwd: examples })];
  execFileSync('musl-gcc', ['-static', '-O1', '-o', output, ...sources], { cwd: examples });
  port = await freePort();
  const env = { PORT: String(port), COLOR: 'blue' };
  program = spawn(output, { env, stdio: ['ignore', 'pipe', 'inherit'] });
  await once(program.stdout!, 'data');
});

after(async () => {
  program.kill('SIGKILL');
  await temp.remove();
});

async function open(): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  await once(socket, 'connect');
  return socket;
}

/** Sends the parts with a pause between them, and returns all that comes back. */
async function exchange(...parts: (string | Buffer)[]): Promise<string> {
  const socket = await open();
  const answer: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => answer.push(chunk));
  const ended = once(socket, 'end');
  for (const part of parts) {
    socket.write(part);
    if (parts.length > 1) await delay(2);
  }
  socket.end();
  await ended;
  return Buffer.concat(answer).toString();
}

async function statusOf(request: string): Promise<number> {
  return Number(/^HTTP\/1\.1 (\d{3})/.exec(await exchange(request))?.[1]);
}

function count(text: string, part: string): number {
  return text.split(part).length - 1;
}

test('the page has the colour of COLOR, and the interfaces say it', async () => {
  assert.match(await exchange(`GET / HTTP/1.1\r\n${host}\r\n`), /--accent:blue/);
  assert.match(await exchange(get), /"color":"blue"/);
  assert.match(await exchange(`GET /env?x HTTP/1.1\r\n${host}\r\n`), /"COLOR":"blue","PORT":"\d+"/);
});

test('requests come in pieces, one after the other and before the answers', async () => {
  assert.match(await exchange(...get.split('')), /^HTTP\/1\.1 200 /);
  assert.equal(count(await exchange(get.repeat(50)), 'HTTP/1.1 200 OK'), 50);
});

test('a body is read past, whatever is in it', async () => {
  const head = `POST / HTTP/1.1\r\n${host}Content-Length: 200000\r\n\r\n`;
  const answer = await exchange(Buffer.concat([Buffer.from(head), Buffer.alloc(200_000)]), get);
  assert.equal(count(answer, 'HTTP/1.1 405 '), 1);
  assert.equal(count(answer, 'HTTP/1.1 200 '), 1);
});

test('HEAD has the length and no body', async () => {
  const answer = await exchange(`HEAD / HTTP/1.1\r\n${host}\r\n`);
  assert.match(answer, /Content-Length: \d{4}/);
  assert.ok(answer.endsWith('\r\n\r\n'));
});

test('what is wrong is refused, each in its way', async () => {
  const line = 'GET / HTTP/1.1\r\n';
  assert.equal(await statusOf(`${line}${host}A: ${'x'.repeat(15_000)}\r\n\r\n`), 200);
  assert.equal(await statusOf(`${line}${host}A: ${'x'.repeat(500_000)}\r\n\r\n`), 431);
  assert.equal(await statusOf(`${line}\r\n`), 400);
  assert.equal(await statusOf(`${line}${host}${host}\r\n`), 400);
  assert.equal(await statusOf(`${line}${host}Content-Length: 1\r\nContent-Length: 2\r\n\r\n`), 400);
  assert.equal(await statusOf(`${line}${host}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`), 501);
  assert.equal(await statusOf('\0\r\n\r\n'), 400);
  assert.equal(await statusOf(`GET / HTTP/2.0\r\n${host}\r\n`), 505);
  assert.equal(await statusOf('GET / HTTP/1.0\r\n\r\n'), 200);
  const strange = await exchange(`GET /<script> HTTP/1.1\r\n${host}\r\n`);
  assert.match(strange, /^HTTP\/1\.1 404 /);
  assert.ok(!strange.includes('<script>'));
});

test('hundreds of connections are served at once, and SIGTERM ends it', async () => {
  const sockets = await Promise.all(Array.from({ length: 400 }, open));
  for (const round of [1, 2]) {
    const answers = sockets.map((socket) => once(socket, 'data') as Promise<Buffer[]>);
    for (const socket of sockets) socket.write(get);
    const texts = (await Promise.all(answers)).map(String);
    assert.ok(
      texts.every((text) => text.startsWith('HTTP/1.1 200 ')),
      `round ${round}`,
    );
  }
  const ended = once(program, 'exit');
  program.kill('SIGTERM');
  assert.deepEqual(await ended, [0, null]);
  for (const socket of sockets) socket.destroy();
});
