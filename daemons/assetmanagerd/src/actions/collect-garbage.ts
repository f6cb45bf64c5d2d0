import { finishDeleting } from './delete-asset.ts';
import { expireLeases } from './expire-leases.ts';
import type { Surroundings } from './surroundings.ts';

/** A caller may take this long between writing a file to the inbox and registering it. */
const inboxGraceMs = 24 * 60 * 60 * 1000;

export interface Collected {
  readonly assetIds: string[];
  /** Bytes of assets, of stray files in the store and of forgotten files in the inbox. */
  readonly freedBytes: number;
}

/**
 * Deletes assets that nobody leases, that were last used longer than `maxAgeMs` ago and that are no
 * default; files without a record; inbox files that nobody registered for a day; staging
 * directories nobody leases for.
 *
 * @param request.dryRun - report only.
 */
export async function collectGarbage(
  request: { maxAgeMs: number; dryRun: boolean },
  around: Surroundings,
): Promise<Collected> {
  const { registry, clock } = around;
  await expireLeases(around);
  const assetIds: string[] = [];
  let freedBytes = 0;
  for (const { id, sizeBytes } of await registry.unused(clock.now() - request.maxAgeMs)) {
    if (!request.dryRun) {
      // Somebody may have leased it a moment ago.
      if ((await registry.markDeleting(id)) !== 'marked') continue;
      await finishDeleting(id, around);
    }
    assetIds.push(id);
    freedBytes += sizeBytes;
  }
  freedBytes += await collectStrayFiles(request.dryRun, around);
  freedBytes += await collectInbox(request, around);
  if (!request.dryRun) await removeUnleasedStaging(around);
  return { assetIds, freedBytes };
}

/** Removes files of the store that no asset has a record of. Returns their bytes. */
export async function collectStrayFiles(
  dryRun: boolean,
  { registry, store, logger }: Surroundings,
): Promise<number> {
  // Files first: a record is there before its file, so a file without one belongs to nobody.
  const files = await store.list();
  const known = new Set((await registry.inventory()).map(({ id }) => id));
  const strays = files.filter(({ id }) => !known.has(id));
  if (!dryRun) {
    for (const { id } of strays) {
      await store.remove(id);
      logger.warn({ assetId: id }, 'removed a file without a record');
    }
  }
  return strays.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}

async function collectInbox(
  { maxAgeMs, dryRun }: { maxAgeMs: number; dryRun: boolean },
  { inbox, clock, logger }: Surroundings,
): Promise<number> {
  const forgotten = await inbox.list(clock.now() - Math.max(maxAgeMs, inboxGraceMs));
  if (!dryRun) {
    for (const { name } of forgotten) {
      await inbox.remove(name);
      logger.warn({ file: name }, 'removed a file from the inbox that nobody registered');
    }
  }
  return forgotten.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}

/** Removes staging directories whose holder has no staged lease. */
export async function removeUnleasedStaging({
  registry,
  staging,
  mutex,
}: Surroundings): Promise<void> {
  for (const holder of await staging.holders()) {
    await mutex.run(`holder:${holder}`, async () => {
      const leases = await registry.leasesOf(holder);
      if (leases.some(({ stagedAs }) => stagedAs !== undefined)) return;
      await staging.remove(holder);
    });
  }
}
