import { type Loop, startLoop } from '@ingot/daemon-kit';
import { expireLeases } from '../actions/expire-leases.ts';
import type { Surroundings } from '../actions/surroundings.ts';

/** Takes back leases that have run out, `everyMs` late at most. */
export function startLeaseExpiry(everyMs: number, around: Surroundings): Loop {
  const { clock, logger } = around;
  return startLoop({
    name: 'expire-leases',
    everyMs,
    clock,
    logger,
    run: () => expireLeases(around),
  });
}
