import type { IncomingMessage, Server, ServerOptions, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { targetOf } from '../domain/host-name.ts';
import { ambiguity } from './headers.ts';
import { proxyRequest, sendPage } from './proxy-request.ts';
import { proxyUpgrade, refuseUpgrade } from './proxy-upgrade.ts';
import type { Route, RouteTable } from './route-table.ts';
import { badRequest, pageForRoute, type StatusPage } from './status-page.ts';

/**
 * Limits of the server behind the door: a client has ten seconds to send its headers, at most
 * 32 KiB of them, and as long as it takes to send a body.
 */
export const serverOptions: ServerOptions = {
  headersTimeout: 10_000,
  connectionsCheckingInterval: 2000,
  requestTimeout: 0,
  keepAliveTimeout: 65_000,
  maxHeaderSize: 32 * 1024,
};

export interface FrontDoorOptions {
  routes: RouteTable;
  /** Deployments answer at NAME.domain. */
  domain: string;
  upstreamTimeoutMs: number;
}

/**
 * Decides by host name whom a request is for. Everything below the domain goes to deployments,
 * /healthz and the API's paths too.
 *
 * @returns whether it was taken; if not it is the gateway's own.
 */
export function serveDeployments(options: FrontDoorOptions) {
  return (request: IncomingMessage, response: ServerResponse): boolean => {
    const found = lookUp(request, options);
    if (found === undefined) return false;
    if ('page' in found) sendPage(request, response, found.page);
    else {
      const upstream = options.routes.acquire(found.route);
      proxyRequest(request, response, upstream, options.upstreamTimeoutMs);
    }
    return true;
  };
}

/** Has the server pass on WebSockets, and ask only those to send a body who will be heard. */
export function joinUpgrades(server: Server, options: FrontDoorOptions): void {
  server.on('checkContinue', (request, response) => {
    const found = lookUp(request, options);
    if (found && 'page' in found) response.setHeader('connection', 'close');
    else response.writeContinue();
    server.emit('request', request, response);
  });
  server.on('upgrade', (request, socket, head) => upgrade(request, socket, head, options));
  // Other protocols than WebSocket (such as h2c) are offered, not demanded: the request is served.
  Object.assign(server, {
    shouldUpgradeCallback: (request: IncomingMessage) =>
      request.headers.upgrade?.toLowerCase() === 'websocket',
  });
}

/** A page or a route for what is meant for a deployment; undefined for the gateway's own. */
function lookUp(
  request: IncomingMessage,
  { routes, domain }: FrontDoorOptions,
): { page: StatusPage } | { route: Extract<Route, { kind: 'ready' }> } | undefined {
  const target = targetOf(request.headers.host ?? '', domain);
  if (target.kind === 'gateway') return undefined;
  const unclear = ambiguity(request);
  if (unclear) return { page: badRequest(unclear) };
  const route = routes.find(target.name);
  return route?.kind === 'ready' ? { route } : { page: pageForRoute(target.name, route) };
}

function upgrade(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  options: FrontDoorOptions,
): void {
  socket.on('error', () => socket.destroy());
  const found = lookUp(request, options);
  if (found && 'route' in found) {
    const { cut, release } = options.routes.acquire(found.route);
    proxyUpgrade(request, socket, head, { endpoint: found.route.endpoint, cut, release });
    return;
  }
  const page = found?.page ?? badRequest('There is nothing to upgrade to here.');
  refuseUpgrade(request, socket, page);
}
