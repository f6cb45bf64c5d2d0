import { isIngotError, type Loop, startLoop } from '@ingot/daemon-kit';
import { importGuestAssets } from '../actions/import-guest-assets.ts';
import type { Surroundings } from '../actions/surroundings.ts';
import type { GuestSource } from '../guest-source/guest-source.ts';

/** Keeps the default kernel and initrd those of the guest folder. */
export interface GuestImport {
  /** Resolves after the first try. */
  readonly tried: Promise<void>;
  /** Why the files of the folder are not the defaults; undefined when they are. */
  problem(): string | undefined;
  loop: Loop;
}

/** Imports the guest files now and whenever they have changed. */
export function startGuestImport(
  everyMs: number,
  guest: GuestSource,
  around: Surroundings,
): GuestImport {
  const { clock, logger } = around;
  const first = Promise.withResolvers<void>();
  let imported: string | undefined;
  let problem: string | undefined;
  const run = async () => {
    const fingerprint = await guest.fingerprint();
    if (fingerprint === imported) return;
    try {
      await importGuestAssets(guest, around);
      imported = fingerprint;
      problem = undefined;
    } catch (error) {
      if (!isIngotError(error)) throw error;
      const found = `${error.message}; ${error.remedy}`;
      if (found !== problem) logger.warn({ reason: error.reason }, found);
      problem = found;
    } finally {
      first.resolve();
    }
  };
  return {
    tried: first.promise,
    problem: () => problem,
    loop: startLoop({ name: 'import-guest', everyMs, clock, logger, run }),
  };
}
