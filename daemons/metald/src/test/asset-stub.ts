import { randomUUID } from 'node:crypto';
import { asset } from '@ingot/contracts';
import {
  createLogger,
  createMetrics,
  createPlainRpcClient,
  IngotError,
  type RpcServer,
  startRpcServer,
} from '@ingot/daemon-kit';

/** assetmanagerd as metald sees it: the real contract on loopback, its books in memory. */
export class AssetStub {
  readonly rootfsId = randomUUID();
  readonly kernelId = randomUUID();
  readonly initrdId = randomUUID();
  readonly assets = new Map<string, asset.AssetType>([
    [this.rootfsId, asset.AssetType.ROOTFS],
    [this.kernelId, asset.AssetType.KERNEL],
    [this.initrdId, asset.AssetType.INITRD],
  ]);
  /** Lease ids by holder and asset. */
  readonly leases = new Map<string, Map<string, string>>();
  /** Where the staged file of a type is said to be. */
  pathOf: (type: asset.AssetType) => string = (type) => `/staging/${type}`;
  renewals = 0;
  /** While true every call fails as if nobody were there. */
  away = false;
  #server: RpcServer | undefined;

  async start() {
    const refuseAway = (): void => {
      if (this.away) throw new IngotError('unavailable', 'assetmanagerd is away');
    };
    const status = asset.AssetStatus.AVAILABLE;
    this.#server = await startRpcServer({
      listen: '127.0.0.1:0',
      logger: createLogger({ name: 'asset-stub', level: 'silent' }),
      metrics: createMetrics('asset-stub'),
      readiness: () => ({ ready: true, reasons: [] }),
      routes: (router) =>
        router.service(asset.AssetManagerService, {
          getAsset: ({ assetId: id }) => {
            refuseAway();
            const type = this.assets.get(id);
            if (type === undefined) throw new IngotError('asset_missing', `no asset ${id}`);
            return { id, type, status };
          },
          listAssets: ({ type }) => {
            refuseAway();
            const found = [...this.assets].filter(([, its]) => its === type);
            return { assets: found.map(([id]) => ({ id, type, status })) };
          },
          prepareAssets: ({ assetIds, holder }) => {
            refuseAway();
            const leases = this.leases.get(holder) ?? new Map<string, string>();
            this.leases.set(holder, leases);
            const assets = assetIds.map((assetId) => {
              const type = this.assets.get(assetId);
              if (type === undefined) throw new IngotError('asset_missing', `no asset ${assetId}`);
              const id = leases.get(assetId) ?? randomUUID();
              leases.set(assetId, id);
              return { assetId, type, path: this.pathOf(type), lease: { id, assetId } };
            });
            return { assets };
          },
          renewLease: ({ leaseIds }) => {
            refuseAway();
            this.renewals += 1;
            const alive = new Set([...this.leases.values()].flatMap((ids) => [...ids.values()]));
            return { lostLeaseIds: leaseIds.filter((id) => !alive.has(id)) };
          },
          releaseAsset: ({ holder }) => {
            refuseAway();
            return { released: this.leases.delete(holder) ? 1 : 0 };
          },
        }),
    });
    return createPlainRpcClient(asset.AssetManagerService, { url: this.#server.url, headers: {} });
  }

  async stop(): Promise<void> {
    await this.#server?.close(0);
  }
}
