import { metal as proto } from '@ingot/contracts';
import { isIngotError } from '@ingot/daemon-kit';
import type { OwnedVm } from '../domain/deployment.ts';
import type { Context } from './context.ts';
import { lookAtVm } from './vm-failure.ts';

const lookAgainMs = 50;

/**
 * Ends a VM nobody wants any more: its running requests may end first, then its app is asked to,
 * then it is deleted and struck from the books. Safe to repeat from the start at any point.
 */
export async function retireVm(context: Context, vm: OwnedVm, signal: AbortSignal): Promise<void> {
  const { clock, routes, metal, settings } = context;
  await routes.drained(vm.id, vm.drainUntil - clock.now(), signal);
  const graceSeconds = settings.stopGraceSeconds;
  try {
    await metal.shutdownVm({ vmId: vm.id, graceSeconds }, context.call(graceSeconds * 1000));
  } catch (error) {
    // Not running, or already being shut down: looked at below.
    if (!isIngotError(error, 'illegal_state', 'vm_not_found', 'not_found')) throw error;
  }
  const giveUpAt = clock.monotonicMs() + graceSeconds * 1000 + 5000;
  while (
    (await lookAtVm(context, vm.id))?.state === proto.VmState.STOPPING &&
    clock.monotonicMs() < giveUpAt
  ) {
    await clock.sleep(lookAgainMs, signal);
  }
  await routes.close(vm.id);
  await deleteVm(context, vm.id);
  await context.store.removeVm(vm.id);
}

/** Removes a VM from its host; one that is not there is fine. */
export async function deleteVm(context: Context, vmId: string): Promise<void> {
  try {
    await context.metal.deleteVm({ vmId }, context.call());
  } catch (error) {
    if (!isIngotError(error, 'vm_not_found', 'not_found')) throw error;
  }
}
