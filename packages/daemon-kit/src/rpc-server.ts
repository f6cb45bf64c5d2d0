import http from 'node:http';
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import {
  type ConnectRouter,
  createContextKey,
  createContextValues,
  type HandlerContext,
  type Interceptor,
} from '@connectrpc/connect';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import { createValidateInterceptor } from '@connectrpc/validate';
import type { Registry } from 'prom-client';
import { errnoOf, IngotError } from './errors.ts';
import type { Logger } from './logger.ts';
import { type Identity, identityOf } from './identity.ts';
import { parseListen } from './listen.ts';
import { serverErrorInterceptor } from './rpc-errors.ts';

type NodeRequest = Parameters<ReturnType<typeof connectNodeAdapter>>[0];
type NodeResponse = Parameters<ReturnType<typeof connectNodeAdapter>>[1];

/** Whether a daemon can do its job, and if not (or not fully) why. */
export interface Readiness {
  ready: boolean;
  reasons: readonly string[];
}

export interface RpcServerOptions {
  /** "host:port"; port 0 takes a free one. */
  listen: string;
  /** With it the server speaks mutual TLS; without it plain HTTP/1.1. */
  identity?: Identity;
  routes: (router: ConnectRouter) => void;
  /** Which identities may call a service, by its type name. A service not named is open to nobody. */
  allow?: Readonly<Record<string, readonly string[]>>;
  readiness: () => Promise<Readiness> | Readiness;
  metrics: Registry;
  logger: Logger;
  /** Run after errors are mapped and before requests are validated, such as authentication. */
  interceptors?: Interceptor[];
  /**
   * Sees every request before anything else and answers it by returning true; without TLS only.
   * gatewayd's customers have a /healthz of their own.
   */
  first?: (request: http.IncomingMessage, response: http.ServerResponse) => boolean;
  /** Time-outs and limits of the plain server. */
  serverOptions?: http.ServerOptions;
  /** Answers what is neither a call nor /healthz, /readyz or /metrics; without TLS only. */
  fallback?: http.RequestListener;
}

export interface RpcServer {
  url: string;
  port: number;
  /** The plain server, for upgrades; undefined with TLS. */
  http: http.Server | undefined;
  /** Refuses new calls, lets running ones end for `graceMs` (default 1000), then cuts them. */
  close(graceMs?: number): Promise<void>;
}

/**
 * No message may be larger, unpacked: it is read whole before its sender is known. A full batch of
 * samples has 1 MiB; an app's environment may have 2.
 */
const maxMessageBytes = 4 * 1024 * 1024;

const callerKey = createContextKey<string | undefined>(undefined);

/** The identity in the caller's certificate; "" where the server has no mutual TLS. */
export function callerOf(context: Pick<HandlerContext, 'values'>): string {
  return context.values.get(callerKey) ?? '';
}

/**
 * Serves Connect, gRPC-Web and (with TLS) gRPC on one port, and the three plain pages every daemon
 * has. Requests are checked against the rules in the proto before a handler sees them.
 *
 * @throws IngotError port_taken when something else listens there.
 */
export async function startRpcServer(options: RpcServerOptions): Promise<RpcServer> {
  const shutdown = new AbortController();
  const rpc = connectNodeAdapter({
    routes: options.routes,
    readMaxBytes: maxMessageBytes,
    interceptors: [
      serverErrorInterceptor(options.logger),
      ...(options.identity ? [authorisation(options.allow ?? {})] : []),
      ...(options.interceptors ?? []),
      createValidateInterceptor(),
    ],
    contextValues: (request) => createContextValues().set(callerKey, peerIdentity(request)),
    fallback: (request, response) =>
      options.fallback
        ? options.fallback(request as http.IncomingMessage, response as http.ServerResponse)
        : send(response, 404, 'text/plain', 'no such method\n'),
    shutdownSignal: shutdown.signal,
  });
  const handler = (request: NodeRequest, response: NodeResponse): void => {
    const taken = options.first?.(request as http.IncomingMessage, response as http.ServerResponse);
    if (taken || servePage(request, response, options)) return;
    try {
      rpc(request, response);
    } catch {
      // Connect makes a URL of the Host header before anything else: anybody can send one that is none.
      send(response, 400, 'text/plain', 'the request has no valid Host header or target\n');
    }
  };
  const server = options.identity
    ? http2.createSecureServer({ ...tlsOptions(options.identity), allowHTTP1: true }, handler)
    : http.createServer(options.serverOptions ?? {}, handler);
  const sessions = new Set<http2.ServerHttp2Session>();
  if (!(server instanceof http.Server)) {
    server.on('session', (session) => {
      sessions.add(session);
      session.on('close', () => sessions.delete(session));
    });
  }
  const { host, port } = await startListening(server, options.listen);
  return {
    url: `${options.identity ? 'https' : 'http'}://${host}:${port}`,
    port,
    http: server instanceof http.Server ? server : undefined,
    close: async (graceMs = 1000) => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      shutdown.abort(new IngotError('unavailable', 'the daemon is stopping'));
      for (const session of sessions) session.close();
      const cut = setTimeout(() => {
        for (const session of sessions) session.destroy();
        if (server instanceof http.Server) server.closeAllConnections();
      }, graceMs);
      if (server instanceof http.Server) server.closeIdleConnections();
      await closed;
      clearTimeout(cut);
    },
  };
}

function tlsOptions(identity: Identity): http2.SecureServerOptions {
  return {
    cert: identity.certificate,
    key: identity.privateKey,
    ca: identity.authority,
    requestCert: true,
    // Without a certificate only the plain pages answer; calls are refused in `authorisation`.
    rejectUnauthorized: false,
    minVersion: 'TLSv1.3',
  };
}

function authorisation(allow: Readonly<Record<string, readonly string[]>>): Interceptor {
  return (next) => (request) => {
    const caller = request.contextValues.get(callerKey);
    const service = request.service.typeName;
    if (caller === undefined) {
      throw new IngotError('unauthenticated', `${service} needs a certificate of this authority`, {
        remedy: 'call with a certificate that `ingot up` made for a daemon',
      });
    }
    if (!allow[service]?.includes(caller)) {
      throw new IngotError('permission_denied', `${caller} may not call ${service}`);
    }
    return next(request);
  };
}

const identities = new WeakMap<TLSSocket, string | undefined>();

function peerIdentity(request: NodeRequest): string | undefined {
  const socket =
    'stream' in request && request.stream.session ? request.stream.session.socket : request.socket;
  // The socket of an HTTP/2 session is a proxy, so it is told by what it can do.
  const tls = socket as TLSSocket;
  if (typeof tls.getPeerX509Certificate !== 'function') return undefined;
  if (!identities.has(tls)) {
    const certificate = tls.authorized ? tls.getPeerX509Certificate() : undefined;
    identities.set(tls, certificate && identityOf(certificate));
  }
  return identities.get(tls);
}

function servePage(
  request: NodeRequest,
  response: NodeResponse,
  { readiness, metrics, logger }: RpcServerOptions,
): boolean {
  if (request.method !== 'GET') return false;
  switch (request.url) {
    case '/healthz':
      send(response, 200, 'text/plain', 'alive\n');
      return true;
    case '/readyz':
      void Promise.resolve()
        .then(readiness)
        .catch((error: unknown) => {
          logger.error({ err: error }, 'the readiness check failed');
          return { ready: false, reasons: ['the readiness check itself failed'] };
        })
        .then((answer) =>
          send(response, answer.ready ? 200 : 503, 'application/json', JSON.stringify(answer)),
        );
      return true;
    case '/metrics':
      void metrics.metrics().then((text) => send(response, 200, metrics.contentType, text));
      return true;
    default:
      return false;
  }
}

function send(response: NodeResponse, status: number, type: string, body: string): void {
  const plain = response as http.ServerResponse;
  plain.writeHead(status, { 'content-type': type });
  plain.end(body);
}

function startListening(
  server: http.Server | http2.Http2SecureServer,
  address: string,
): Promise<{ host: string; port: number }> {
  const { host, port } = parseListen(address);
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => {
      const taken = errnoOf(cause) === 'EADDRINUSE';
      const message = taken ? `port ${port} on ${host} is taken` : `cannot listen on ${address}`;
      reject(
        new IngotError(taken ? 'port_taken' : 'config_invalid', message, {
          remedy: 'stop what uses it or give the daemon another address with its "listen" setting',
          cause,
        }),
      );
    });
    server.listen(port, host, () => {
      resolve({ host, port: (server.address() as AddressInfo).port });
    });
  });
}
