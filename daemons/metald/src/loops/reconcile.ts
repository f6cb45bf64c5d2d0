import { type Loop, startLoop } from '@ingot/daemon-kit';
import type { Context } from '../actions/context.ts';
import { reconcileVm } from '../actions/reconcile-vm.ts';
import { isGuestUp } from '../domain/vm.ts';

const everyMs = 1_000;

/**
 * Finishes what calls could not, so that what is reported is what is true; tells watchers when
 * billing falls behind or has caught up; forgets VMs deleted long ago.
 */
export function startReconciler(
  context: Context,
  kept: { deletedKeptSeconds: number; deletedKept: number },
): Loop {
  const { clock, logger, store, metering, feed } = context;
  let wasDegraded = metering.billingDegraded;
  return startLoop({
    name: 'reconcile',
    everyMs,
    clock,
    logger,
    run: async (signal) => {
      const vms = await store.unsettled();
      await Promise.all(
        vms.map((vm) =>
          reconcileVm(vm.id, context).catch((error: unknown) => {
            if (!signal.aborted) logger.error({ err: error, vmId: vm.id }, 'cannot reconcile a VM');
          }),
        ),
      );
      if (wasDegraded !== metering.billingDegraded) {
        wasDegraded = metering.billingDegraded;
        for (const { id } of vms) {
          const vm = await store.get(id);
          if (vm && isGuestUp(vm)) feed.publish(vm);
        }
      }
      await store.forgetDeleted(clock.now() - kept.deletedKeptSeconds * 1000, kept.deletedKept);
    },
  });
}
