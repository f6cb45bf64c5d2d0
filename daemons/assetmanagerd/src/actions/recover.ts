import { isIngotError } from '@ingot/daemon-kit';
import { collectStrayFiles, removeUnleasedStaging } from './collect-garbage.ts';
import { finishDeleting } from './delete-asset.ts';
import { expireLeases } from './expire-leases.ts';
import { stagedFiles } from './prepare-assets.ts';
import { abandon } from './register-asset.ts';
import type { Surroundings } from './surroundings.ts';

/**
 * Brings registry, store, staging and inbox back in line after a stop at any line. Run it before
 * anything else; safe to repeat.
 */
export async function recover(around: Surroundings): Promise<void> {
  await finishInterrupted(around);
  await collectStrayFiles(false, around);
  await expireLeases(around);
  await dropLostAssets(around);
  await removeUnleasedStaging(around);
  await stageAgain(around);
}

async function finishInterrupted(around: Surroundings): Promise<void> {
  const { registry, inbox, logger } = around;
  for (const { id, status } of await registry.inventory()) {
    if (status === 'deleting') await finishDeleting(id, around);
    if (status !== 'writing') continue;
    await abandon(id, around);
    logger.warn({ assetId: id }, 'took back a registration that was cut short');
  }
  for (const { id, inboxFile } of await registry.pendingInboxFiles()) {
    await inbox.remove(inboxFile);
    await registry.forgetInboxFile(id);
  }
}

/** An asset whose bytes are gone or cut is deleted, so that whoever needs it makes it again. */
async function dropLostAssets(around: Surroundings): Promise<void> {
  const { registry, store, logger } = around;
  const whole = (await store.list()).filter(({ isWhole }) => isWhole);
  const sizes = new Map(whole.map(({ id, sizeBytes }) => [id, sizeBytes]));
  for (const { id, sizeBytes } of await registry.inventory()) {
    if (sizes.get(id) === sizeBytes) continue;
    logger.error(
      { assetId: id, sizeBytes, found: sizes.get(id) },
      'the bytes of an asset are lost',
    );
    if ((await registry.markDeleting(id)) === 'marked') await finishDeleting(id, around);
  }
}

/** Stages anew what a holder has leases for and whose files are missing. */
async function stageAgain(around: Surroundings): Promise<void> {
  const { registry, staging, mutex, clock, logger } = around;
  for (const holder of await registry.stagedHolders()) {
    await mutex.run(`holder:${holder}`, async () => {
      const leases = (await registry.leasesOf(holder)).filter(({ stagedAs }) => stagedAs);
      const assets = await Promise.all(
        leases.map(({ assetId }) => registry.find(assetId, clock.now())),
      );
      try {
        await staging.create(holder, stagedFiles(assets.filter((asset) => asset !== undefined)));
      } catch (error) {
        if (!isIngotError(error, 'asset_missing')) throw error;
        logger.error({ err: error, holder }, 'what a holder leases cannot be staged again');
      }
    });
  }
}
