import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { asset } from '@ingot/contracts';
import {
  type Clock,
  createMetrics,
  Gauge,
  KeyedMutex,
  loadIdentity,
  type Logger,
  type Registry,
  type RpcServer,
  startRpcServer,
} from '@ingot/daemon-kit';
import { checkReadiness } from './actions/check-readiness.ts';
import { recover } from './actions/recover.ts';
import type { Surroundings } from './actions/surroundings.ts';
import { LocalAssetStore } from './asset-store/local-folder/local-asset-store.ts';
import type { AssetmanagerdSettings } from './config.ts';
import { LocalGuestSource } from './guest-source/local-folder/local-guest-source.ts';
import { LocalInbox } from './inbox/local-folder/local-inbox.ts';
import { startGarbageCollection } from './loops/collect-garbage.ts';
import { startLeaseExpiry } from './loops/expire-leases.ts';
import { type GuestImport, startGuestImport } from './loops/import-guest.ts';
import { SqliteRegistry } from './registry/sqlite/sqlite-registry.ts';
import { assetService } from './rpc/asset-service.ts';
import { anyCaller, authoriseMethod } from './rpc/authorisation.ts';
import { explainFullDisk } from './rpc/explain-disk-full.ts';
import { LocalStaging } from './staging/local-folder/local-staging.ts';

const guestCheckMs = 15_000;

export interface Assetmanagerd {
  /** https://host:port */
  url: string;
  stop(): Promise<void>;
}

interface Deps {
  dataDir: string;
  clock: Clock;
  logger: Logger;
}

/**
 * Starts assetmanagerd: puts right what a crash left, imports the guest's files, then listens.
 *
 * @param deps.dataDir - `assetmanagerd/` (registry, assets, inbox), `staging/` and `pki/` in it.
 * @throws IngotError when the certificate, the disk or the port cannot be had.
 */
export async function startAssetmanagerd(
  settings: AssetmanagerdSettings,
  deps: Deps,
): Promise<Assetmanagerd> {
  const identity = await loadIdentity(join(deps.dataDir, 'pki'), 'assetmanagerd');
  const around = await openSurroundings(settings, deps);
  const stops: (() => Promise<void>)[] = [() => around.registry.close()];
  const stop = async () => {
    for (const each of stops.toReversed()) await each();
  };
  try {
    await recover(around);
    const source = new LocalGuestSource(settings.guestDir);
    const guest = startGuestImport(guestCheckMs, source, around);
    stops.push(() => guest.loop.stop());
    await guest.tried;
    const expiry = startLeaseExpiry(settings.leaseCheckSeconds * 1000, around);
    stops.push(() => expiry.stop());
    const collection = startGarbageCollection(
      {
        everyMs: settings.gcEverySeconds * 1000,
        maxAgeMs: settings.gcMaxAgeSeconds * 1000,
      },
      around,
    );
    stops.push(() => collection.stop());
    const server = await serve(settings, { identity, guest, around });
    stops.push(() => server.close());
    deps.logger.info({ url: server.url }, 'assetmanagerd is up');
    return { url: server.url, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function openSurroundings(
  settings: AssetmanagerdSettings,
  { dataDir, clock, logger }: Deps,
): Promise<Surroundings> {
  const own = join(dataDir, 'assetmanagerd');
  const store = await LocalAssetStore.open(join(own, 'assets'));
  return {
    registry: new SqliteRegistry(join(own, 'registry.sqlite')),
    store,
    staging: await LocalStaging.open(join(dataDir, 'staging'), store),
    inbox: await LocalInbox.open(settings.inboxDir ?? join(own, 'inbox')),
    mutex: new KeyedMutex(),
    clock,
    logger,
    newId: randomUUID,
  };
}

function serve(
  settings: AssetmanagerdSettings,
  parts: {
    identity: Awaited<ReturnType<typeof loadIdentity>>;
    guest: GuestImport;
    around: Surroundings;
  },
): Promise<RpcServer> {
  const { identity, guest, around } = parts;
  const metrics = createMetrics('assetmanagerd');
  countAssets(metrics, around);
  return startRpcServer({
    listen: settings.listen,
    identity,
    logger: around.logger,
    metrics,
    allow: { [asset.AssetManagerService.typeName]: anyCaller },
    interceptors: [authoriseMethod, explainFullDisk],
    readiness: () =>
      checkReadiness(
        { minFreeBytes: settings.minFreeBytes, guestProblem: guest.problem() },
        around,
      ),
    routes: (router) => router.service(asset.AssetManagerService, assetService(around)),
  });
}

function countAssets(metrics: Registry, { registry }: Surroundings): void {
  const assets = new Gauge({
    name: 'assetmanagerd_assets',
    help: 'Assets by status',
    labelNames: ['status'],
    registers: [metrics],
    collect: async () => {
      const inventory = await registry.inventory();
      const sum = inventory.reduce((total, { sizeBytes }) => total + sizeBytes, 0);
      bytes.set(sum);
      for (const status of ['writing', 'available', 'deleting'] as const) {
        assets.set({ status }, inventory.filter((each) => each.status === status).length);
      }
    },
  });
  const bytes = new Gauge({
    name: 'assetmanagerd_asset_bytes',
    help: 'Bytes of all assets',
    registers: [metrics],
  });
}
