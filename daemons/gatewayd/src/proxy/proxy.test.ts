import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { after, afterEach, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { WebSocket, WebSocketServer } from 'ws';
import { eventually, Installation } from '../test/installation.ts';

let it: Installation;
let app: http.Server;
let onRequest: http.RequestListener;
let port: number;

before(async () => {
  app = http.createServer((request, response) => onRequest(request, response));
  app.listen(0, '127.0.0.1');
  await once(app, 'listening');
  it = await Installation.start({ upstreamTimeoutSeconds: 0.3 });
  it.host.endpoint = `127.0.0.1:${(app.address() as AddressInfo).port}`;
  await it.deploy('shop');
  port = Number(new URL(it.gatewayd.url).port);
});
after(async () => {
  await it.stop();
  app.closeAllConnections();
  app.close();
});
afterEach(() => {
  onRequest = () => undefined;
});

function ask(options: http.RequestOptions = {}): http.ClientRequest {
  const { headers, ...rest } = options;
  return http.request({
    ...{ host: '127.0.0.1', port, agent: false, path: '/' },
    ...rest,
    headers: { host: 'shop.localhost', ...(headers as http.OutgoingHttpHeaders) },
  });
}

async function answerTo(request: http.ClientRequest): Promise<http.IncomingMessage> {
  const [answer] = (await once(request, 'response')) as [http.IncomingMessage];
  return answer;
}

async function textOf(answer: http.IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of answer) text += String(chunk);
  return text;
}

/** Sends bytes as they are and answers with all that comes back. */
async function sendRaw(bytes: string, waitMs = 300): Promise<string> {
  const socket = net.connect(port, '127.0.0.1');
  let text = '';
  socket.on('data', (chunk) => (text += chunk.toString('latin1')));
  socket.write(bytes);
  await Promise.race([once(socket, 'close'), delay(waitMs)]);
  socket.destroy();
  return text;
}

test('the first byte of an answer arrives before the last is sent', async () => {
  const rest = Promise.withResolvers<void>();
  onRequest = (_request, response) => {
    response.write('first');
    void rest.promise.then(() => response.end('last'));
  };
  const answer = await answerTo(ask().end());
  const [first] = (await once(answer, 'data')) as [Buffer];
  assert.equal(String(first), 'first');
  rest.resolve();
  assert.equal(await textOf(answer), 'last');
});

test('64 MiB go through each way unchanged', async () => {
  const piece = Buffer.alloc(1024 * 1024, 'ingot');
  const pieces = 64;
  onRequest = (request, response) => request.pipe(response);
  const request = ask({ method: 'POST' });
  const sent = createHash('sha256');
  const received = createHash('sha256');
  const echoed = answerTo(request).then(async (answer) => {
    for await (const chunk of answer) received.update(chunk as Buffer);
  });
  for (let number = 0; number < pieces; number++) {
    sent.update(piece);
    if (!request.write(piece)) await once(request, 'drain');
  }
  request.end();
  await echoed;
  assert.equal(received.digest('hex'), sent.digest('hex'));
});

test('a client that reads slowly slows the app down', async () => {
  let written = 0;
  onRequest = (_request, response) => {
    const piece = Buffer.alloc(64 * 1024);
    const more = (): void => {
      while (written < 2 ** 28 && !response.destroyed) {
        written += piece.length;
        if (!response.write(piece)) return void response.once('drain', more);
      }
    };
    more();
  };
  const request = ask().end();
  const answer = await answerTo(request);
  answer.pause();
  await delay(300);
  const held = written;
  await delay(200);
  assert.ok(written === held && held < 32 * 1024 * 1024, `${held} then ${written}`);
  request.destroy();
});

test('an app that reads slowly slows the client down', async () => {
  onRequest = () => undefined;
  const request = ask({ method: 'POST' });
  request.on('error', () => undefined);
  const piece = Buffer.alloc(64 * 1024);
  let taken = 0;
  const more = (): void => {
    while (taken < 2 ** 28 && !request.destroyed) {
      taken += piece.length;
      if (!request.write(piece)) return void request.once('drain', more);
    }
  };
  more();
  await delay(300);
  const held = taken;
  await delay(200);
  assert.ok(taken === held && held < 32 * 1024 * 1024, `${held} then ${taken}`);
  request.destroy();
});

test('a client that goes away ends the request at the app', async () => {
  const gone = Promise.withResolvers<void>();
  const arrived = Promise.withResolvers<void>();
  onRequest = (_request, response) => {
    response.on('close', () => gone.resolve());
    arrived.resolve();
  };
  const request = ask().end();
  request.on('error', () => undefined);
  await arrived.promise;
  request.destroy();
  await gone.promise;
});

test('headers of the connection stay on it, and who asks is told by the gateway alone', async () => {
  let seen: http.IncomingHttpHeaders = {};
  onRequest = (request, response) => {
    seen = request.headers;
    response.setHeader('connection', 'x-private, close');
    response.setHeader('x-private', '1');
    response.setHeader('set-cookie', ['a=1', 'b=2']);
    response.end();
  };
  const headers = {
    'x-forwarded-for': '6.6.6.6',
    X_Forwarded_For: '6.6.6.6',
    forwarded: 'for=6.6.6.6',
    'x-mine': '1',
    connection: 'x-mine',
    te: 'trailers',
    'x-kept': 'yes',
  };
  const answer = await answerTo(ask({ headers }).end());
  assert.equal(seen['x-forwarded-for'], '127.0.0.1');
  assert.equal(seen['x_forwarded_for'], undefined);
  assert.equal(seen['x-forwarded-proto'], 'http');
  assert.equal(seen['x-forwarded-host'], 'shop.localhost');
  assert.equal(seen.host, 'shop.localhost');
  assert.equal(seen['x-kept'], 'yes');
  assert.deepEqual([seen['x-mine'], seen.forwarded, seen.te], [undefined, undefined, undefined]);
  assert.equal(answer.headers['x-private'], undefined);
  assert.deepEqual(answer.headers['set-cookie'], ['a=1', 'b=2']);
});

test('the app’s own /healthz and paths of the API are the app’s', async () => {
  onRequest = (request, response) => response.end(`app ${request.url}`);
  for (const path of ['/healthz', '/metrics', '/ingot.gateway.v1.DeployService/List']) {
    assert.equal(await textOf(await answerTo(ask({ path }).end())), `app ${path}`);
  }
});

test('a request that two servers could read differently gets no further', async () => {
  onRequest = () => assert.fail('the app was asked');
  const host = 'Host: shop.localhost\r\n';
  const start = `POST / HTTP/1.1\r\n${host}`;
  for (const bytes of [
    `${start}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    `${start}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd`,
    `${start}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`,
    `${start}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n`,
    `POST / HTTP/1.1\r\n${host}Host: other.localhost\r\nContent-Length: 0\r\n\r\n`,
    `GET http://other.localhost/ HTTP/1.1\r\n${host}\r\n`,
    `GET / HTTP/1.1\r\n${host}X: a\nY: b\r\n\r\n`,
  ]) {
    assert.match(await sendRaw(bytes), /^HTTP\/1\.1 400 /, JSON.stringify(bytes));
  }
});

test('who waits to be asked for a body is asked only when someone will hear it', async () => {
  onRequest = (request, response) => request.pipe(response);
  const body = 'Content-Length: 2\r\nExpect: 100-continue\r\n\r\n';
  const heard = await sendRaw(`POST / HTTP/1.1\r\nHost: shop.localhost\r\n${body}ok`);
  assert.match(heard, /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK/);
  assert.match(
    await sendRaw(`POST / HTTP/1.1\r\nHost: nobody.localhost\r\n${body}`),
    /^HTTP\/1\.1 404 /,
  );
});

test('an app that answers before it has read everything is heard', async () => {
  onRequest = (_request, response) => {
    response.writeHead(413).end('too much');
  };
  const request = ask({ method: 'POST' });
  request.on('error', () => undefined);
  request.write(Buffer.alloc(8 * 1024 * 1024));
  const answer = await answerTo(request);
  assert.equal(answer.statusCode, 413);
  assert.equal(await textOf(answer), 'too much');
  request.destroy();
});

test('an app that closes, cuts off or says nothing gives 502, a cut answer, or 504', async () => {
  onRequest = (_request, response) => response.destroy();
  assert.equal((await answerTo(ask({ method: 'POST' }).end())).statusCode, 502);
  onRequest = (_request, response) => {
    response.write('half');
    setTimeout(() => response.destroy(), 20);
  };
  await assert.rejects(textOf(await answerTo(ask().end())), /aborted/);
  onRequest = () => undefined;
  const late = await answerTo(ask({ headers: { accept: 'application/json' } }).end());
  assert.equal(late.statusCode, 504);
  assert.equal(JSON.parse(await textOf(late)).error.reason, 'too_slow');
});

test('WebSockets work both ways, from the first bytes on, and end together', async () => {
  const sockets = new WebSocketServer({ server: app });
  sockets.on('connection', (socket) => {
    socket.send('welcome');
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
  });
  const socket = new WebSocket(`ws://127.0.0.1:${port}/chat`, {
    headers: { host: 'shop.localhost' },
  });
  const [welcome] = await once(socket, 'message');
  assert.equal(String(welcome), 'welcome');
  const big = Buffer.alloc(2 * 1024 * 1024, 7);
  socket.send(big);
  const [echo] = await once(socket, 'message');
  assert.ok(big.equals(echo as Buffer));
  socket.close(4001, 'bye');
  const [code] = await once(socket, 'close');
  assert.equal(code, 4001);
  await eventually(() => assert.equal(sockets.clients.size, 0));
  const cut = new WebSocket(`ws://127.0.0.1:${port}/`, { headers: { host: 'shop.localhost' } });
  await once(cut, 'message');
  for (const client of sockets.clients) client.terminate();
  await once(cut, 'close');
  app.removeAllListeners('upgrade');
  sockets.close();
});

test('an upgrade that leads nowhere is refused with the page, one an app declines with its answer', async () => {
  const to = async (host: string) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/`, { headers: { host } });
    socket.on('error', () => undefined);
    const [, answer] = (await once(socket, 'unexpected-response')) as [
      unknown,
      { statusCode: number },
    ];
    return answer.statusCode;
  };
  onRequest = (_request, response) => response.writeHead(426).end('no');
  assert.equal(await to('nobody.localhost'), 404);
  assert.equal(await to('shop.localhost'), 426);
});

test('an upgrade to something else is served as a plain request', async () => {
  onRequest = (request, response) => response.end(`upgrade: ${request.headers.upgrade}`);
  const headers = { connection: 'Upgrade, HTTP2-Settings', upgrade: 'h2c', 'http2-settings': 'AA' };
  assert.equal(await textOf(await answerTo(ask({ headers }).end())), 'upgrade: undefined');
});

test('the dashboard is on the bare host, with a strict policy, and nothing else is', async () => {
  const headers = { host: `localhost:${port}` };
  const page = await answerTo(ask({ headers }).end());
  assert.equal(page.statusCode, 200);
  assert.match(String(page.headers['content-security-policy']), /default-src 'none'/);
  assert.match(await textOf(page), /<title>Ingot<\/title>/);
  const missing = await answerTo(ask({ headers, path: '/../package.json' }).end());
  assert.equal(missing.statusCode, 404);
  assert.equal((await answerTo(ask({ headers, path: '/healthz' }).end())).statusCode, 200);
});
