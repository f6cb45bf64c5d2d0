import { endOf } from '../domain/end-of-life.ts';
import { isGuestUp, moveTo, type Vm, type VmFailure } from '../domain/vm.ts';
import type { Vmm, VmmExit } from '../hypervisor/hypervisor.ts';
import { lastLines } from './console.ts';
import type { Context } from './context.ts';
import { vmDir } from './launch-vmm.ts';
import { closeRun, endVmm } from './release-vm.ts';

const logLines = 20;

/** Takes a VMM in hand and writes down its end at once when it comes. */
export function attachVmm(vmId: string, vmm: Vmm, context: Context): void {
  const { attached, mutex, store } = context;
  const letGo = attached.add(vmId, vmm);
  void vmm.exited.then((exit) => {
    if (letGo.aborted) return;
    const noted = mutex.run(vmId, async () => {
      const vm = letGo.aborted ? undefined : await store.get(vmId);
      if (vm) await finishExit(vm, exit, context);
    });
    attached.run(noted, (error) => {
      context.logger.error({ err: error, vmId }, 'the end of a VM could not be written down yet');
      // Not in hand any more: the reconciler finds it gone and tries again.
      attached.drop(vmId);
    });
  });
}

/** Writes down how a VM whose VMM is gone has ended. The caller holds the VM's mutex. */
export async function finishExit(vm: Vm, exit: VmmExit, context: Context): Promise<Vm> {
  const ended = endOf(vm, exit, await consoleTail(vm, context));
  context.attached.drop(vm.id);
  return settle(vm, ended, context);
}

/** Ends the VM's VMM and writes down why. The caller holds the VM's mutex. */
export async function failVm(
  vm: Vm,
  failure: Pick<VmFailure, 'reason' | 'message'>,
  context: Context,
): Promise<Vm> {
  await endVmm(vm, context);
  const log = await consoleTail(vm, context);
  return settle(vm, moveTo(vm, 'failed', { failure: { ...failure, log } }), context);
}

/** Ends the VM's VMM after it was asked to stop and did not. The caller holds the VM's mutex. */
export async function stopVm(vm: Vm, context: Context): Promise<Vm> {
  await endVmm(vm, context);
  return settle(vm, moveTo(vm, 'stopped'), context);
}

async function settle(before: Vm, after: Vm, context: Context): Promise<Vm> {
  const { store, feed, clock, logger } = context;
  const ended: Vm = {
    ...after,
    process: undefined,
    intent: undefined,
    stopDeadlineMs: undefined,
    ...(isGuestUp(before) ? { stoppedAtMs: clock.now() } : {}),
  };
  await store.put(ended);
  feed.publish(ended);
  const { state, failure, exitCode } = ended;
  logger.info({ vmId: ended.id, state, reason: failure?.reason, exitCode }, 'a VM has ended');
  return closeRun(ended, context);
}

/** A console that cannot be read does not keep a VM's end from being told. */
async function consoleTail(vm: Vm, context: Context): Promise<string[]> {
  const path = context.hypervisor.consolePath(vmDir(vm.id, context));
  return lastLines(path, logLines).catch(() => []);
}
