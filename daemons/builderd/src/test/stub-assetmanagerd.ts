import { randomUUID } from 'node:crypto';
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { asset } from '@ingot/contracts';
import {
  createLogger,
  createMetrics,
  IngotError,
  loadIdentity,
  startRpcServer,
} from '@ingot/daemon-kit';
import { digestOf } from '@ingot/testkit';

export interface StubAssetmanagerd {
  readonly url: string;
  /** Registered assets and their bytes, by id. */
  readonly assets: Map<string, { asset: asset.Asset; bytes: Buffer }>;
  /** Thrown by the next calls of registerAsset, one each. */
  readonly failures: IngotError[];
  readonly inboxDir: string;
  inbox(): Promise<string[]>;
  stop(): Promise<void>;
}

/** The part of assetmanagerd that builderd calls, over the real wire, keeping assets in memory. */
export async function startStubAssetmanagerd(
  dataDir: string,
  listen = '127.0.0.1:0',
): Promise<StubAssetmanagerd> {
  const inboxDir = join(dataDir, 'assetmanagerd', 'inbox');
  const assets: StubAssetmanagerd['assets'] = new Map();
  const failures: IngotError[] = [];
  const byKey = new Map<string, string>();
  const register = async (request: asset.RegisterAssetRequest): Promise<asset.Asset> => {
    const failure = failures.shift();
    if (failure) throw failure;
    const known = assets.get(byKey.get(request.idempotencyKey) ?? '');
    if (known) return known.asset;
    const path = join(inboxDir, request.location);
    const bytes = await readFile(path);
    const sha256 = digestOf(bytes).replace('sha256:', '');
    if (request.expectedSha256 !== sha256) throw new IngotError('digest_mismatch', 'other bytes');
    await rm(path);
    const made = create(asset.AssetSchema, {
      id: randomUUID(),
      name: request.name,
      type: request.type,
      status: asset.AssetStatus.AVAILABLE,
      sizeBytes: BigInt(bytes.length),
      sha256,
      labels: request.labels,
    });
    assets.set(made.id, { asset: made, bytes });
    byKey.set(request.idempotencyKey, made.id);
    return made;
  };
  const server = await startRpcServer({
    listen,
    identity: await loadIdentity(join(dataDir, 'pki'), 'assetmanagerd'),
    allow: { [asset.AssetManagerService.typeName]: ['builderd'] },
    routes: (router) => {
      router.service(asset.AssetManagerService, {
        registerAsset: register,
        getAsset: ({ assetId }) => {
          const found = assets.get(assetId);
          if (!found) throw new IngotError('asset_missing', `there is no asset ${assetId}`);
          return found.asset;
        },
      });
    },
    readiness: () => ({ ready: true, reasons: [] }),
    metrics: createMetrics('assetmanagerd'),
    logger: createLogger({ name: 'stub', level: 'silent' }),
  });
  return {
    url: server.url,
    assets,
    failures,
    inboxDir,
    inbox: () => readdir(inboxDir).catch(() => []),
    stop: () => server.close(),
  };
}
