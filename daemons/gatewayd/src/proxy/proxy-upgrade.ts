import { type IncomingMessage, request as httpRequest } from 'node:http';
import type { Duplex } from 'node:stream';
import { requestHeaders, responseHeaders } from './headers.ts';
import { noAnswer, renderPage, type StatusPage } from './status-page.ts';

/** Answers an upgrade request with a page, and closes. */
export function refuseUpgrade(request: IncomingMessage, socket: Duplex, page: StatusPage): void {
  const { headers, body } = renderPage(page, request);
  const lines = Object.entries({ ...headers, connection: 'close' });
  socket.end(
    `HTTP/1.1 ${page.status} ${page.title}\r\n` +
      `${lines.map(([name, value]) => `${name}: ${value}`).join('\r\n')}\r\n\r\n${body}`,
  );
}

/**
 * Passes an upgrade request on and, when the app agrees, joins the two sockets. Each direction
 * ends by itself; an error on one side ends both. An app that does not agree is heard as usual.
 *
 * @param head - what the client sent right after its request.
 * @param cut - ends a joined connection.
 * @param release - called once when it is over.
 */
export function proxyUpgrade(
  request: IncomingMessage,
  client: Duplex,
  head: Buffer,
  { endpoint, cut, release }: { endpoint: string; cut: AbortSignal; release: () => void },
): void {
  const [host, port] = splitEndpoint(endpoint);
  const outgoing = httpRequest({
    host,
    port,
    agent: false,
    method: request.method,
    path: request.url,
    headers: [
      ...requestHeaders(request),
      ...['Connection', 'Upgrade', 'Upgrade', request.headers.upgrade ?? ''],
    ],
  });
  client.on('error', () => outgoing.destroy());
  client.once('close', () => {
    outgoing.destroy();
    release();
  });
  outgoing.on('upgrade', (answer, app, appHead) => {
    const agreed = ['Connection', 'Upgrade', 'Upgrade', answer.headers.upgrade ?? ''];
    client.write(headOf(answer, agreed), 'latin1');
    if (appHead.length > 0) client.write(appHead);
    if (head.length > 0) app.write(head);
    join(client, app, cut);
  });
  outgoing.on('response', (answer) => {
    client.write(headOf(answer, ['Connection', 'close']), 'latin1');
    answer.pipe(client);
    answer.on('error', () => client.destroy());
  });
  outgoing.on('error', () => {
    if (client.writableEnded || client.destroyed) return;
    refuseUpgrade(request, client, noAnswer);
  });
  outgoing.end();
}

function join(client: Duplex, app: Duplex, cut: AbortSignal): void {
  const destroy = (): void => {
    client.destroy();
    app.destroy();
  };
  cut.addEventListener('abort', destroy, { once: true });
  for (const [from, to] of [
    [client, app],
    [app, client],
  ] as const) {
    from.on('error', destroy);
    from.on('close', () => {
      cut.removeEventListener('abort', destroy);
      // What was received before must still get through.
      if (from.readableEnded) to.end();
      else to.destroy();
    });
    from.pipe(to);
  }
}

function headOf(answer: IncomingMessage, more: string[]): string {
  const headers = [...responseHeaders(answer.rawHeaders), ...more];
  let text = `HTTP/1.1 ${answer.statusCode} ${answer.statusMessage ?? ''}\r\n`;
  for (let index = 0; index + 1 < headers.length; index += 2) {
    text += `${headers[index]}: ${headers[index + 1]}\r\n`;
  }
  return `${text}\r\n`;
}

function splitEndpoint(endpoint: string): [string, string] {
  const colon = endpoint.lastIndexOf(':');
  return [endpoint.slice(0, colon), endpoint.slice(colon + 1)];
}
