import { type Loop, startLoop } from '@ingot/daemon-kit';
import { collectGarbage } from '../actions/collect-garbage.ts';
import type { Surroundings } from '../actions/surroundings.ts';

/** Collects what nobody has used for `maxAgeMs`. */
export function startGarbageCollection(
  settings: { everyMs: number; maxAgeMs: number },
  around: Surroundings,
): Loop {
  const { clock, logger } = around;
  return startLoop({
    name: 'collect-garbage',
    everyMs: settings.everyMs,
    clock,
    logger,
    run: async () => {
      const request = { maxAgeMs: settings.maxAgeMs, dryRun: false };
      const { assetIds, freedBytes } = await collectGarbage(request, around);
      if (freedBytes > 0) logger.info({ assetIds, freedBytes }, 'collected garbage');
    },
  });
}
