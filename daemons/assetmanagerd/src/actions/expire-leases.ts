import type { Surroundings } from './surroundings.ts';

/** Takes back every lease that has run out. */
export async function expireLeases(around: Surroundings): Promise<void> {
  for (const holder of await around.registry.expiredHolders(around.clock.now())) {
    await around.mutex.run(`holder:${holder}`, () => expireLeasesOf(holder, around));
  }
}

/** Takes back what has run out of one holder, and what was staged on it. Hold its mutex. */
export async function expireLeasesOf(
  holder: string,
  { registry, staging, clock, logger }: Surroundings,
): Promise<void> {
  const { count, lostStaged } = await registry.dropExpiredOf(holder, clock.now());
  if (lostStaged) await staging.remove(holder);
  if (count > 0) logger.warn({ holder, leases: count }, 'leases have run out');
}
