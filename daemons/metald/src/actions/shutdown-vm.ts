import { moveTo, type Vm } from '../domain/vm.ts';
import { stopVm } from './attach-vmm.ts';
import type { Context } from './context.ts';
import { requireVm } from './require-vm.ts';

/**
 * Asks the app to end, and ends the guest when it has not after the grace period. Answers in
 * STOPPING, or with the VM as it is when it is STOPPING or STOPPED already.
 *
 * @throws IngotError vm_not_found, illegal_state
 */
export function shutdownVm(
  { id, graceMs }: { id: string; graceMs: number },
  context: Context,
): Promise<Vm> {
  const { mutex, store, clock, feed } = context;
  return mutex.run(id, async () => {
    const vm = await requireVm(id, context);
    if (vm.state === 'stopping' || vm.state === 'stopped') return vm;
    const stopping = moveTo(vm, 'stopping', { stopDeadlineMs: clock.now() + graceMs });
    await store.put(stopping);
    feed.publish(stopping);
    await askToStop(stopping, context);
    return stopping;
  });
}

/** Asks the guest of a STOPPING VM to end and sees to it that it does. Safe to repeat. */
export async function askToStop(vm: Vm, context: Context): Promise<void> {
  const { attached, clock, logger } = context;
  const vmm = attached.get(vm.id);
  const letGo = attached.signalOf(vm.id);
  if (!vmm || !letGo) return;
  const asked = await vmm.requestShutdown().then(
    () => true,
    (error: unknown) => {
      logger.warn({ err: error, vmId: vm.id }, 'the guest cannot be asked to stop; ending it');
      return false;
    },
  );
  const graceMs = asked ? Math.max(0, (vm.stopDeadlineMs ?? 0) - clock.now()) : 0;
  attached.run(endAfterGrace(vm, graceMs, letGo, context), (error) => {
    logger.error({ err: error, vmId: vm.id }, 'a VM could not be ended after its grace');
  });
}

async function endAfterGrace(
  { id, bootEpoch }: Vm,
  graceMs: number,
  letGo: AbortSignal,
  context: Context,
): Promise<void> {
  await context.clock.sleep(graceMs, letGo).catch(() => undefined);
  await context.mutex.run(id, async () => {
    const vm = await context.store.get(id);
    if (letGo.aborted || vm?.state !== 'stopping' || vm.bootEpoch !== bootEpoch) return;
    await stopVm(vm, context);
  });
}
