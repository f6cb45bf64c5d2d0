import { randomBytes, randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { billing, builder, gateway, metal } from '@ingot/contracts';
import {
  type Clock,
  createMetrics,
  createRpcClient,
  loadIdentity,
  type Logger,
  parseListen,
  type Random,
  startRpcServer,
} from '@ingot/daemon-kit';
import { bootstrap } from './actions/bootstrap.ts';
import type { Context } from './actions/context.ts';
import { Feed } from './actions/feed.ts';
import type { UsageContext } from './actions/get-usage.ts';
import { Authenticator } from './actions/keys.ts';
import type { Settings } from './config.ts';
import { Reconciler } from './loops/reconcile.ts';
import { VmWatch } from './loops/watch-vms.ts';
import { serveDashboard } from './proxy/dashboard.ts';
import {
  type FrontDoorOptions,
  joinUpgrades,
  serveDeployments,
  serverOptions,
} from './proxy/front-door.ts';
import { RouteTable } from './proxy/route-table.ts';
import { keyService, tenantService, usageService } from './rpc/account-services.ts';
import { authentication } from './rpc/authenticate.ts';
import { deployService } from './rpc/deploy-service.ts';
import { DeploymentStore } from './store/deployment-store.ts';
import { type Database, openDatabase } from './store/schema.ts';
import { TenantStore } from './store/tenant-store.ts';

const dashboardDir = join(import.meta.dirname, '../../../apps/dashboard/page');

export interface Dependencies {
  /** Absolute; the gateway's own part of it is "gatewayd", certificates are in "pki". */
  dataDir: string;
  logger: Logger;
  clock: Clock;
  random: Random;
}

export interface Gatewayd {
  url: string;
  /** Where the admin key is. */
  keyFile: string;
  stop(): Promise<void>;
}

/** No single call to another daemon takes longer. */
const callTimeoutMs = 30_000;

/**
 * Starts the gateway: what was going on when it last ended goes on.
 *
 * @throws IngotError port_taken, config_invalid
 */
export async function startGatewayd(settings: Settings, deps: Dependencies): Promise<Gatewayd> {
  const { dataDir, logger, random } = deps;
  const db = openDatabase(join(dataDir, 'gatewayd', 'gatewayd.db'));
  const routes = new RouteTable();
  const stopping = new AbortController();
  const { context, billingClient } = await connect(settings, deps, db, routes, stopping.signal);
  const keys = { ...context, tenants: new TenantStore(db), randomBytes };
  const keyFile = join(dataDir, 'gatewayd', 'admin.key');
  await bootstrap(keys, keyFile, logger);
  await restoreRoutes(context.store, routes);

  const watch = new VmWatch(context);
  const reconciler = new Reconciler(context, random, watch);
  let port = settings.publicPort ?? parseListen(settings.listen).port;
  const view = {
    urlOf: (name: string) => `http://${name}.${settings.domain}${port === 80 ? '' : `:${port}`}`,
    isBillingDegraded: (vmId: string) => watch.known(vmId)?.billingDegraded ?? false,
  };
  const frontDoor: FrontDoorOptions = {
    ...{ routes, domain: settings.domain },
    upstreamTimeoutMs: settings.upstreamTimeoutSeconds * 1000,
  };
  const server = await startRpcServer({
    listen: settings.listen,
    routes: (router) => {
      const deploys = deployService(context, view, (id) => reconciler.kick(id));
      router.service(gateway.DeployService, deploys);
      router.service(gateway.TenantService, tenantService(keys));
      router.service(gateway.KeyService, keyService(keys));
      router.service(gateway.UsageService, usageService({ ...context, billing: billingClient }));
    },
    interceptors: [authentication(new Authenticator(keys))],
    readiness: () => ({
      ready: true,
      reasons: watch.connected ? [] : ['metald does not answer: deploys wait for it'],
    }),
    metrics: createMetrics('gatewayd'),
    logger,
    first: serveDeployments(frontDoor),
    serverOptions,
    fallback: serveDashboard(dashboardDir),
  });
  port = settings.publicPort ?? server.port;
  if (server.http) joinUpgrades(server.http, frontDoor);
  // The port is ours: no other gateway works on these books, so the work may begin.
  reconciler.start();
  watch.start(random, reconciler);
  // The first deploy must not pay for the handshake; whether it works is seen when it matters.
  context.builder.listBuilds({ pageSize: 1 }, context.call()).catch(() => undefined);
  logger.info({ url: server.url, keyFile }, 'gatewayd is up');
  return {
    ...{ url: server.url, keyFile },
    stop: async () => {
      stopping.abort();
      await reconciler.stop();
      await watch.stop();
      const closed = server.close();
      await routes.closeAll();
      await closed;
      await db.destroy();
    },
  };
}

async function connect(
  settings: Settings,
  { dataDir, logger, clock }: Dependencies,
  db: Database,
  routes: RouteTable,
  stopping: AbortSignal,
): Promise<{ context: Context; billingClient: UsageContext['billing'] }> {
  const identity = await loadIdentity(join(dataDir, 'pki'), 'gatewayd');
  const peer = (name: 'builderd' | 'metald' | 'billaged') => ({
    url: settings[`${name}Url`],
    identity,
    expect: name,
  });
  const context: Context = {
    ...{ routes, clock, logger, settings },
    store: new DeploymentStore(db),
    builder: createRpcClient(builder.BuilderService, peer('builderd')),
    metal: createRpcClient(metal.VmService, peer('metald')),
    feed: new Feed(),
    newId: () => randomUUID(),
    call: (moreMs = 0) => ({
      timeoutMs: callTimeoutMs + moreMs,
      signal: AbortSignal.any([stopping]),
    }),
  };
  return { context, billingClient: createRpcClient(billing.UsageService, peer('billaged')) };
}

/** Routes are there before the first request is. */
async function restoreRoutes(store: DeploymentStore, routes: RouteTable): Promise<void> {
  for (const id of await store.listIds()) {
    const deployment = await store.load(id);
    if (deployment) routes.apply(deployment);
  }
}
