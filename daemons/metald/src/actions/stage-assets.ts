import { asset } from '@ingot/contracts';
import { IngotError, isIngotError } from '@ingot/daemon-kit';
import type { Vm, VmAssets, VmSpec } from '../domain/vm.ts';
import type { Context } from './context.ts';

export interface StagedAssets {
  readonly assets: VmAssets;
  /** Absolute paths of read-only files. */
  readonly kernelPath: string;
  readonly initrdPath: string;
  readonly rootfsPath: string;
}

/**
 * Leases what the VM boots from and has it staged. Which kernel and initrd a VM takes is decided
 * once, at its creation. Safe to repeat.
 *
 * @throws IngotError asset_missing naming the asset; unavailable when assetmanagerd is away.
 */
export async function stageAssets(
  vm: Vm,
  { assets, leaseSeconds }: Pick<Context, 'assets' | 'leaseSeconds'>,
): Promise<StagedAssets> {
  const { rootfsId, kernelId, initrdId } = vm.assets ?? (await chooseAssets(vm.spec, assets));
  const answer = await assets.prepareAssets({
    assetIds: [kernelId, initrdId, rootfsId],
    holder: vm.id,
    leaseSeconds,
  });
  const pathOf = (id: string): string => {
    const prepared = answer.assets.find(({ assetId }) => assetId === id);
    if (!prepared) throw missing('asset', id);
    return prepared.path;
  };
  return {
    assets: {
      rootfsId,
      kernelId,
      initrdId,
      leaseIds: answer.assets.flatMap(({ lease }) => (lease ? [lease.id] : [])),
    },
    kernelPath: pathOf(kernelId),
    initrdPath: pathOf(initrdId),
    rootfsPath: pathOf(rootfsId),
  };
}

async function chooseAssets(
  spec: VmSpec,
  assets: Context['assets'],
): Promise<Omit<VmAssets, 'leaseIds'>> {
  const { rootfsAssetId, kernelAssetId } = spec;
  const [rootfs, kernel, defaultKernel, initrd] = await Promise.all([
    find(rootfsAssetId, asset.AssetType.ROOTFS, assets),
    kernelAssetId === '' ? undefined : find(kernelAssetId, asset.AssetType.KERNEL, assets),
    newestDefault(asset.AssetType.KERNEL, assets),
    newestDefault(asset.AssetType.INITRD, assets),
  ]);
  if (!rootfs) throw missing('rootfs', rootfsAssetId);
  const kernelId = kernel ?? defaultKernel;
  if (!kernelId) throw missing('kernel', kernelAssetId);
  if (!initrd) throw missing('initrd', '');
  return { rootfsId: rootfs, kernelId, initrdId: initrd };
}

async function find(
  assetId: string,
  type: asset.AssetType,
  assets: Context['assets'],
): Promise<string | undefined> {
  try {
    const found = await assets.getAsset({ assetId });
    const usable = found.type === type && found.status === asset.AssetStatus.AVAILABLE;
    return usable ? found.id : undefined;
  } catch (error) {
    if (isIngotError(error, 'not_found', 'asset_missing')) return undefined;
    throw error;
  }
}

async function newestDefault(
  type: asset.AssetType,
  assets: Context['assets'],
): Promise<string | undefined> {
  const labels = { default: 'true' };
  const { assets: found } = await assets.listAssets({ type, labels, pageSize: 10 });
  return found.find(({ status }) => status === asset.AssetStatus.AVAILABLE)?.id;
}

function missing(what: string, id: string): IngotError {
  if (id === '') {
    return new IngotError('asset_missing', `this host has no default ${what}`, {
      remedy: `run guest/build, or register a ${what} with the label default=true`,
      facts: { asset: what },
    });
  }
  return new IngotError('asset_missing', `the ${what} ${id} does not exist`, {
    remedy:
      what === 'rootfs' ? 'build the image again' : `register the ${what}, or a default ${what}`,
    facts: { asset: what, assetId: id },
  });
}
