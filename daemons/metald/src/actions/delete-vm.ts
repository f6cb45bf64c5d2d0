import { isGuestUp, moveTo, type Vm } from '../domain/vm.ts';
import type { Context } from './context.ts';
import { closeRun, endVmm, releaseVm } from './release-vm.ts';
import { requireVm } from './require-vm.ts';

/**
 * Ends the guest if it runs and gives back everything the VM had on this host. A deleted VM
 * answers as it is; one that was never here is vm_not_found.
 */
export function deleteVm(id: string, context: Context): Promise<Vm> {
  return context.mutex.run(id, async () => {
    const vm = await requireVm(id, context);
    return vm.state === 'deleted' ? vm : finishDeleting(vm, context);
  });
}

/** All steps of a deletion, each safe to repeat. The caller holds the VM's mutex. */
export async function finishDeleting(vm: Vm, context: Context): Promise<Vm> {
  const { store, clock, feed } = context;
  const intended: Vm = { ...vm, intent: 'delete' };
  await store.put(intended);

  await endVmm(intended, context);
  const stoppedAtMs = isGuestUp(vm) ? (vm.stoppedAtMs ?? clock.now()) : vm.stoppedAtMs;
  const ended: Vm = { ...intended, stoppedAtMs, process: undefined };
  await store.put(ended);
  const closed = await closeRun(ended, context);

  const released = await releaseVm(closed, context);
  const deleted = moveTo(released, 'deleted', {
    intent: undefined,
    stopDeadlineMs: undefined,
    deletedAtMs: clock.now(),
  });
  await store.put(deleted);
  feed.publish(deleted);
  return deleted;
}
