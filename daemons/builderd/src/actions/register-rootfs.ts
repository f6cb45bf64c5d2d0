import { asset } from '@ingot/contracts';
import { IngotError, isIngotError, isTransient, messageOf, retry } from '@ingot/daemon-kit';
import type { Build } from '../domain/build.ts';
import type { Rootfs } from '../rootfs-writer/rootfs-writer.ts';
import type { BuildContext } from './build-context.ts';

type Context = Pick<BuildContext, 'assets' | 'workspace' | 'assetWaitMs' | 'clock' | 'random'>;

const callTimeoutMs = 300_000;
const retryBaseMs = 500;
const retryCapMs = 5_000;

/**
 * Hands a root file system to assetmanagerd.
 *
 * @returns the asset's id, the same for the same build.
 * @throws IngotError unavailable when assetmanagerd stays away, or what it answers.
 */
export async function registerRootfs(
  context: Context,
  build: Pick<Build, 'id' | 'tenantId'>,
  resolvedImage: string,
  rootfs: Rootfs,
  signal: AbortSignal,
): Promise<string> {
  const location = await context.workspace.handOver(build.id, rootfs.path);
  const registered = await askAssets(context, signal, () =>
    context.assets.registerAsset(
      {
        name: resolvedImage.replace(/@.*/, ''),
        type: asset.AssetType.ROOTFS,
        location,
        expectedSha256: rootfs.sha256,
        labels: {
          source_type: 'docker',
          tenant_id: build.tenantId,
          customer_id: build.tenantId,
          docker_image: resolvedImage,
          build_id: build.id,
          created_by: 'builderd',
        },
        idempotencyKey: build.id,
      },
      { signal, timeoutMs: callTimeoutMs },
    ),
  );
  return registered.id;
}

/** Whether an asset is there and can be staged. @throws IngotError unavailable */
export async function isAvailable(
  context: Context,
  assetId: string,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    const found = await askAssets(context, signal, () =>
      context.assets.getAsset({ assetId }, { signal, timeoutMs: callTimeoutMs }),
    );
    return found.status === asset.AssetStatus.AVAILABLE;
  } catch (error) {
    if (isIngotError(error, 'not_found', 'asset_missing')) return false;
    throw error;
  }
}

function askAssets<T>(context: Context, signal: AbortSignal, ask: () => Promise<T>): Promise<T> {
  const { clock, random, assetWaitMs } = context;
  const startedMs = clock.monotonicMs();
  return retry(ask, {
    clock,
    random,
    signal,
    baseMs: retryBaseMs,
    capMs: retryCapMs,
    onError: (error) => {
      if (!isTransient(error)) throw error;
      if (clock.monotonicMs() - startedMs < assetWaitMs) return;
      const message = `assetmanagerd does not answer (${messageOf(error)})`;
      throw new IngotError('unavailable', message, {
        remedy: 'check that assetmanagerd runs, then deploy again',
        cause: error,
      });
    },
  });
}
