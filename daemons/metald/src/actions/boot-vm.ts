import { messageOf } from '@ingot/daemon-kit';
import { checkMove, moveTo, type Vm } from '../domain/vm.ts';
import type { Vmm } from '../hypervisor/hypervisor.ts';
import type { MeteredRun } from '../metering/metering.ts';
import { attachVmm, failVm } from './attach-vmm.ts';
import { awaitReady } from './await-ready.ts';
import type { Context } from './context.ts';
import { launchVmm } from './launch-vmm.ts';
import { endVmm } from './release-vm.ts';
import { requireVm } from './require-vm.ts';

/**
 * Lets the guest run; a STOPPED VM gets a new VMM on its old disk first. Answers in BOOTING, or
 * with the VM as it is when it is BOOTING or RUNNING already.
 *
 * @throws IngotError vm_not_found, illegal_state; or what kept the VMM from starting.
 */
export function bootVm(id: string, context: Context): Promise<Vm> {
  const { mutex, store, clock, attached, feed } = context;
  return mutex.run(id, async () => {
    const vm = await requireVm(id, context);
    if (vm.state === 'booting' || vm.state === 'running') return vm;
    checkMove(vm, 'booting');
    const held = vm.state === 'stopped' ? await relaunch(vm, context) : vm;
    const vmm = attached.get(id);
    if (!vmm) {
      // CREATED without a VMM in hand: it has just ended, and that is about to be written down.
      return failVm(held, { reason: 'vmm_crashed', message: 'the VMM is gone' }, context);
    }
    const booting = moveTo(held, 'booting', {
      intent: 'boot',
      bootEpoch: vm.bootEpoch + 1,
      startedAtMs: clock.now(),
      stoppedAtMs: undefined,
      exitCode: undefined,
      runOpen: true,
    });
    await store.put(booting);
    feed.publish(booting);
    try {
      return await letRun(booting, vmm, context);
    } catch (error) {
      const message = `the guest could not be started: ${messageOf(error)}`;
      await failVm(booting, { reason: 'boot_failed', message }, context);
      throw error;
    }
  });
}

/**
 * From the intended boot to the running guest: metered first, so that nothing runs unmeasured.
 * Safe to repeat after a restart. The caller holds the VM's mutex.
 */
export async function letRun(vm: Vm, vmm: Vmm, context: Context): Promise<Vm> {
  const { metering, store, clock } = context;
  await metering.runStarted(meteredRun(vm, vmm), vm.startedAtMs ?? clock.now());
  await vmm.start();
  const booting: Vm = { ...vm, intent: undefined };
  await store.put(booting);
  watchReadiness(booting, context);
  return booting;
}

/** Begins to ask the app whether it answers, beside the calls. */
export function watchReadiness(vm: Vm, context: Context): void {
  const letGo = context.attached.signalOf(vm.id);
  if (!letGo) return;
  context.attached.run(awaitReady(vm, letGo, context), (error) => {
    context.logger.error({ err: error, vmId: vm.id }, 'the wait for an app has failed');
  });
}

/** The current boot of the VM as metering sees it. */
export function meteredRun({ id, bootEpoch, spec, slot }: Vm, vmm: Vmm): MeteredRun {
  return {
    vmId: id,
    bootEpoch,
    tenantId: spec.tenantId,
    deploymentId: spec.deploymentId,
    pid: vmm.record.pid,
    startTimeTicks: vmm.record.startTimeTicks,
    vethName: slot?.vethName ?? '',
    vcpus: spec.vcpus,
    memoryBytes: BigInt(spec.memoryMib) * 1024n * 1024n,
  };
}

async function relaunch(vm: Vm, context: Context): Promise<Vm> {
  const { store, logger } = context;
  const intended: Vm = { ...vm, intent: 'boot', assetsHeld: true };
  await store.put(intended);
  try {
    const launched = await launchVmm(intended, context);
    attachVmm(vm.id, launched.vmm, context);
    await store.put(launched.vm);
    return launched.vm;
  } catch (error) {
    await endVmm(vm, context)
      .then(() => store.put({ ...vm, assetsHeld: true }))
      .catch((cause: unknown) => {
        logger.error({ err: cause, vmId: vm.id }, 'a failed launch is cleaned up later');
      });
    throw error;
  }
}
