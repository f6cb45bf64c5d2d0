import { X509Certificate } from 'node:crypto';
import type { DescService } from '@bufbuild/protobuf';
import { type Client, createClient } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import { IngotError } from './errors.ts';
import { type Identity, identityOf } from './identity.ts';
import { withIngotErrors } from './rpc-errors.ts';

/**
 * A client of another daemon, over mutual TLS. Its calls reject with IngotError.
 *
 * @param options.expect - the daemon that must answer: a server with a valid certificate of
 *   another identity is refused.
 */
export function createRpcClient<S extends DescService>(
  service: S,
  options: { url: string; identity: Identity; expect: string },
): Client<S> {
  const { identity, expect } = options;
  const transport = createConnectTransport({
    httpVersion: '2',
    baseUrl: options.url,
    nodeOptions: {
      cert: identity.certificate,
      key: identity.privateKey,
      ca: identity.authority,
      minVersion: 'TLSv1.3',
      checkServerIdentity: (_host, peer) => {
        const found = identityOf(new X509Certificate(peer.raw));
        if (found === expect) return undefined;
        return new IngotError(
          'unauthenticated',
          `the server at ${options.url} is ${found ?? 'unknown'}, not ${expect}`,
          { remedy: `point the URL of ${expect} at ${expect}` },
        );
      },
    },
  });
  return withIngotErrors(service, createClient(service, transport));
}

/** A client of a plain HTTP service, such as gatewayd for the command line. */
export function createPlainRpcClient<S extends DescService>(
  service: S,
  options: { url: string; headers: Readonly<Record<string, string>> },
): Client<S> {
  const transport = createConnectTransport({
    httpVersion: '1.1',
    baseUrl: options.url,
    interceptors: [
      (next) => (request) => {
        for (const [name, value] of Object.entries(options.headers))
          request.header.set(name, value);
        return next(request);
      },
    ],
  });
  return withIngotErrors(service, createClient(service, transport));
}
