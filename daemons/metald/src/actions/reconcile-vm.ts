import { hasVmm, type Vm } from '../domain/vm.ts';
import { attachVmm, finishExit } from './attach-vmm.ts';
import { letRun, meteredRun, watchReadiness } from './boot-vm.ts';
import type { Context } from './context.ts';
import { takeBackCreation } from './create-vm.ts';
import { finishDeleting } from './delete-vm.ts';
import { vmDir } from './launch-vmm.ts';
import { closeRun, endVmm, findVmm, releaseAssets } from './release-vm.ts';
import { askToStop } from './shutdown-vm.ts';

/**
 * Brings what is written about a VM and what is true of it together: after a restart of metald,
 * and for whatever a call could not finish. Does nothing for a VM that is in hand and whole.
 */
export function reconcileVm(id: string, context: Context): Promise<void> {
  const { mutex, store, attached } = context;
  return mutex.run(id, async () => {
    const vm = await store.get(id);
    if (!vm) return;
    if (vm.intent === 'create') await takeBackCreation(vm, context);
    else if (vm.intent === 'delete') await finishDeleting(vm, context);
    else if (vm.state === 'deleted') await settleDeleted(vm, context);
    else if (!hasVmm(vm)) await settleEnded(vm, context);
    else if (!attached.get(id)) await takeUp(vm, context);
  });
}

/** A VM that should have a VMM, which this life of metald has not in hand. */
async function takeUp(vm: Vm, context: Context): Promise<void> {
  const { hypervisor, metering, attached, logger } = context;
  const vmm = await findVmm(vm, context);
  if (!vmm) {
    await finishExit(vm, await hypervisor.readExit(vmDir(vm.id, context)), context);
    return;
  }
  logger.info({ vmId: vm.id, state: vm.state }, 'a VM was found alive');
  attachVmm(vm.id, vmm, context);
  try {
    if (vm.intent === 'boot') await letRun(vm, vmm, context);
    else if (vm.state !== 'created') await metering.runRecovered(meteredRun(vm, vmm));
  } catch (error) {
    // Not in hand as long as it is not measured: tried again.
    attached.drop(vm.id);
    await vmm.detach();
    throw error;
  }
  if (vm.state === 'booting' && vm.intent !== 'boot') watchReadiness(vm, context);
  if (vm.state === 'stopping') await askToStop(vm, context);
}

/** STOPPED or FAILED: a VMM that a launch or an end cut short has left goes, and the run is closed. */
async function settleEnded(vm: Vm, context: Context): Promise<void> {
  let settled = vm;
  if (vm.intent !== undefined || vm.process !== undefined) {
    await endVmm(vm, context);
    settled = { ...vm, intent: undefined, process: undefined };
    await context.store.put(settled);
  }
  await closeRun(settled, context);
}

async function settleDeleted(vm: Vm, context: Context): Promise<void> {
  const closed = await closeRun(vm, context);
  const released = await releaseAssets(closed, context);
  if (released !== closed) await context.store.put(released);
}
