import { type Lease, leaseEndMs } from '../domain/lease.ts';
import { missingAssets } from '../domain/missing-assets.ts';
import { expireLeasesOf } from './expire-leases.ts';
import type { Surroundings } from './surroundings.ts';

/**
 * Leases one asset without staging it. Again with the same holder: the same lease, living longer.
 *
 * @throws IngotError asset_missing
 */
export function acquireAsset(
  request: { assetId: string; holder: string; leaseSeconds: number },
  around: Surroundings,
): Promise<Lease> {
  const { assetId, holder, leaseSeconds } = request;
  return around.mutex.run(`holder:${holder}`, async () => {
    await expireLeasesOf(holder, around);
    const now = around.clock.now();
    const wanted = [{ assetId, newId: around.newId(), stagedAs: undefined }];
    const answer = await around.registry.lease(holder, wanted, leaseEndMs(now, leaseSeconds), now);
    if ('missing' in answer) throw missingAssets(answer.missing);
    return answer.leases[0]!;
  });
}

/** Lets leases live longer; tells which had run out or were given back. */
export async function renewLeases(
  request: { leaseIds: readonly string[]; leaseSeconds: number },
  { registry, clock }: Surroundings,
): Promise<{ renewed: Lease[]; lost: string[] }> {
  const now = clock.now();
  const until = leaseEndMs(now, request.leaseSeconds);
  const renewed = await registry.renew(request.leaseIds, until, now);
  const alive = new Set(renewed.map(({ id }) => id));
  return { renewed, lost: request.leaseIds.filter((id) => !alive.has(id)) };
}

/** Gives back all leases of the holder and removes what was staged for it. Twice is fine. */
export function releaseHolder(holder: string, around: Surroundings): Promise<number> {
  return around.mutex.run(`holder:${holder}`, async () => {
    const released = await around.registry.dropLeasesOf(holder, around.clock.now());
    await around.staging.remove(holder);
    return released;
  });
}
