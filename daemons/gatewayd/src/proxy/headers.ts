import type { IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';

/** RFC 9110 7.6.1, and what belongs to one connection by custom. */
const hopByHop = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/**
 * Set by the gateway alone: a client's own would be believed by the app. With "_" too, for many
 * frameworks (CGI, WSGI) give both spellings one name.
 */
const ours = new Set(['x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host', 'forwarded']);

/**
 * Why the request must not be passed on, because the gateway and the app might read it
 * differently; undefined when it is unambiguous. Conflicting lengths never get this far: the
 * parser refuses them.
 */
export function ambiguity(request: IncomingMessage): string | undefined {
  if (countOf(request, 'host') !== 1) return 'The request must have exactly one Host header.';
  if (!request.url?.startsWith('/')) return 'The request target must be a path.';
  const encoding = request.headers['transfer-encoding'];
  if (encoding !== undefined && encoding.toLowerCase() !== 'chunked') {
    return 'The only transfer coding understood here is "chunked".';
  }
  return undefined;
}

/** Whether a body follows, of a known length or not. */
export function hasBody(request: IncomingMessage): boolean {
  const { 'content-length': length, 'transfer-encoding': encoding } = request.headers;
  return encoding !== undefined || (length !== undefined && Number(length) > 0);
}

/** The request's headers for the app: name, value, name, value… */
export function requestHeaders(request: IncomingMessage): string[] {
  const named = connectionNames(request.headers.connection);
  const passed = pairs(request.rawHeaders).flatMap(([name, value]) => {
    const lower = name.toLowerCase();
    const dropped =
      hopByHop.has(lower) ||
      ours.has(lower.replaceAll('_', '-')) ||
      named.has(lower) ||
      lower === 'expect';
    return dropped ? [] : [name, value];
  });
  const secure = (request.socket as TLSSocket).encrypted;
  return [
    ...passed,
    ...['X-Forwarded-For', request.socket.remoteAddress ?? ''],
    ...['X-Forwarded-Proto', secure ? 'https' : 'http'],
    ...['X-Forwarded-Host', request.headers.host ?? ''],
  ];
}

/** The app's headers for the client: name, value, name, value… */
export function responseHeaders(raw: readonly string[]): string[] {
  const all = pairs(raw);
  const connection = all.filter(([name]) => name.toLowerCase() === 'connection');
  const named = connectionNames(connection.map(([, value]) => value).join(','));
  return all.flatMap(([name, value]) => {
    const lower = name.toLowerCase();
    return hopByHop.has(lower) || named.has(lower) ? [] : [name, value];
  });
}

function connectionNames(value: string | undefined): Set<string> {
  return new Set((value ?? '').split(',').map((name) => name.trim().toLowerCase()));
}

function countOf(request: IncomingMessage, wanted: string): number {
  return pairs(request.rawHeaders).filter(([name]) => name.toLowerCase() === wanted).length;
}

function pairs(raw: readonly string[]): [string, string][] {
  const list: [string, string][] = [];
  for (let index = 0; index + 1 < raw.length; index += 2) {
    list.push([raw[index] ?? '', raw[index + 1] ?? '']);
  }
  return list;
}
