import { IngotError } from '@ingot/daemon-kit';
import { type Asset, stagedNames } from '../domain/asset.ts';
import { type Lease, leaseEndMs } from '../domain/lease.ts';
import { missingAssets } from '../domain/missing-assets.ts';
import type { StagedFile } from '../staging/staging.ts';
import { expireLeasesOf } from './expire-leases.ts';
import type { Surroundings } from './surroundings.ts';

export interface PreparedAsset {
  readonly file: StagedFile;
  /** Absolute. */
  readonly path: string;
  readonly lease: Lease;
}

/**
 * Leases the assets to the holder and stages them in its directory: all of them, or none. The same
 * call again answers with the same leases and paths.
 *
 * @param request.holder - a UUID.
 * @throws IngotError asset_missing naming the ids; invalid_argument for two of a type;
 *   illegal_state when the holder has other assets staged; disk_full
 */
export function prepareAssets(
  request: { assetIds: readonly string[]; holder: string; leaseSeconds: number },
  around: Surroundings,
): Promise<PreparedAsset[]> {
  const { assetIds, holder, leaseSeconds } = request;
  const { registry, staging, clock, mutex } = around;
  return mutex.run(`holder:${holder}`, async () => {
    await expireLeasesOf(holder, around);
    const before = await registry.leasesOf(holder);
    refuseOtherSet(holder, before, assetIds);
    const files = stagedFiles(await findAvailable(assetIds, around));

    const wanted = files.map(({ assetId, name }) => ({
      assetId,
      newId: around.newId(),
      stagedAs: name,
    }));
    const now = clock.now();
    const answer = await registry.lease(holder, wanted, leaseEndMs(now, leaseSeconds), now);
    if ('missing' in answer) throw missingAssets(answer.missing);
    try {
      await staging.create(holder, files);
    } catch (error) {
      const had = new Set(before.map(({ id }) => id));
      const added = answer.leases.filter(({ id }) => !had.has(id));
      await registry.dropLeases(
        added.map(({ id }) => id),
        clock.now(),
      );
      throw error;
    }
    return files.map((file, index) => ({
      file,
      path: staging.pathOf(holder, file.name),
      lease: answer.leases[index]!,
    }));
  });
}

/** What a holder's directory holds of these assets. */
export function stagedFiles(assets: readonly Asset[]): StagedFile[] {
  const types = new Set(assets.map(({ type }) => type));
  if (types.size !== assets.length) {
    throw new IngotError('invalid_argument', 'a holder can have one asset of each type staged', {
      remedy: 'ask for at most one kernel, one initrd and one rootfs',
    });
  }
  return assets.map(({ id, type, sizeBytes, sha256 }) => ({
    name: stagedNames[type],
    assetId: id,
    type,
    sizeBytes,
    sha256,
  }));
}

async function findAvailable(
  ids: readonly string[],
  { registry, clock }: Surroundings,
): Promise<Asset[]> {
  const found = await Promise.all(ids.map((id) => registry.find(id, clock.now())));
  const missing = ids.filter((_, index) => found[index]?.status !== 'available');
  if (missing.length > 0) throw missingAssets(missing);
  return found.filter((asset) => asset !== undefined);
}

function refuseOtherSet(
  holder: string,
  leases: readonly Lease[],
  assetIds: readonly string[],
): void {
  const staged = leases.filter(({ stagedAs }) => stagedAs !== undefined);
  const same =
    staged.length === assetIds.length && staged.every(({ assetId }) => assetIds.includes(assetId));
  if (staged.length === 0 || same) return;
  throw new IngotError('illegal_state', `${holder} has other assets staged`, {
    remedy: 'release them first',
    facts: { holder, staged: staged.map(({ assetId }) => assetId).join(',') },
  });
}
