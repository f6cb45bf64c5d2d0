import { IngotError } from '@ingot/daemon-kit';
import { missingAssets } from '../domain/missing-assets.ts';
import { expireLeases } from './expire-leases.ts';
import type { Surroundings } from './surroundings.ts';

/**
 * Deletes an asset that nobody leases.
 *
 * @throws IngotError asset_missing, asset_in_use
 */
export async function deleteAsset(id: string, around: Surroundings): Promise<void> {
  await expireLeases(around);
  const outcome = await around.registry.markDeleting(id);
  switch (outcome) {
    case 'absent':
      throw missingAssets([id]);
    case 'leased':
      throw new IngotError('asset_in_use', `asset ${id} is leased`, {
        remedy: 'remove the VMs that use it, or wait until their leases run out',
        facts: { assetId: id },
      });
    case 'marked':
      await finishDeleting(id, around);
  }
}

/** Removes the bytes, then the record, of an asset in status `deleting`. */
export async function finishDeleting(
  id: string,
  { store, registry, logger }: Surroundings,
): Promise<void> {
  await store.remove(id);
  await registry.forget(id);
  logger.info({ assetId: id }, 'deleted an asset');
}
