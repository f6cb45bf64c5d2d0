import { type Loop, startLoop } from '@ingot/daemon-kit';
import type { Context } from '../actions/context.ts';
import { renewLeases } from '../actions/renew-leases.ts';

/** Renews leases three times in their life. */
export function startLeaseRenewal(context: Context): Loop {
  const { clock, logger, leaseSeconds } = context;
  return startLoop({
    name: 'renew-leases',
    everyMs: (leaseSeconds * 1000) / 3,
    clock,
    logger,
    run: () => renewLeases(context),
  });
}
