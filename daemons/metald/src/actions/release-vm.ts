import { rm } from 'node:fs/promises';
import { isGuestUp, type Vm } from '../domain/vm.ts';
import type { Vmm, VmmRecord } from '../hypervisor/hypervisor.ts';
import type { Context } from './context.ts';
import { vmDir } from './launch-vmm.ts';

/** The VMM the record speaks of, or one whose launch was cut before it was recorded. */
export async function findVmm(vm: Vm, context: Context): Promise<Vmm | undefined> {
  const { attached, hypervisor } = context;
  const known = attached.get(vm.id);
  if (known) return known;
  const dir = vmDir(vm.id, context);
  const recorded: VmmRecord | undefined = vm.process && { vmId: vm.id, dir, ...vm.process };
  const found = recorded && (await hypervisor.recover(recorded));
  if (found) return found;
  const stray = await hypervisor.findStray(vm.id, dir);
  return stray && hypervisor.recover(stray);
}

/** Ends the VM's VMM, if there is one, after its last counters were read. Safe to repeat. */
export async function endVmm(vm: Vm, context: Context): Promise<void> {
  const { metering, attached, logger } = context;
  const vmm = await findVmm(vm, context);
  if (vmm) {
    if (isGuestUp(vm)) {
      await metering.sampleNow(vm.id).catch((error: unknown) => {
        logger.error({ err: error, vmId: vm.id }, 'the last sample of a VM could not be taken');
      });
    }
    await vmm.kill();
  }
  attached.drop(vm.id);
}

/**
 * Tells metering that the run is over, as the stored VM says. What fails is tried again by the
 * reconciler: the end of a run is journalled late rather than never.
 */
export async function closeRun(vm: Vm, context: Context): Promise<Vm> {
  const { metering, store, logger } = context;
  if (!vm.runOpen || vm.stoppedAtMs === undefined) return vm;
  try {
    await metering.runStopped(vm.id, vm.stoppedAtMs);
  } catch (error) {
    logger.error({ err: error, vmId: vm.id }, 'the end of a run could not be journalled');
    return vm;
  }
  const closed: Vm = { ...vm, runOpen: false };
  await store.put(closed);
  return closed;
}

/** Gives the VM's network slot, directory and leases back. Safe to repeat. */
export async function releaseVm(vm: Vm, context: Context): Promise<Vm> {
  await context.network.release(vm.id);
  await rm(vmDir(vm.id, context), { recursive: true, force: true });
  return releaseAssets({ ...vm, process: undefined, slot: undefined }, context);
}

/**
 * Gives the VM's leases and staged files back. An assetmanagerd that is away holds nothing up: the
 * VM keeps `assetsHeld`, and the reconciler tries again.
 */
export async function releaseAssets(vm: Vm, context: Context): Promise<Vm> {
  if (!vm.assetsHeld) return vm;
  try {
    await context.assets.releaseAsset({ holder: vm.id });
    return { ...vm, assetsHeld: false };
  } catch (error) {
    context.logger.warn({ err: error, vmId: vm.id }, 'leases are given back later');
    return vm;
  }
}
