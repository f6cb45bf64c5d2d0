import { metal as proto } from '@ingot/contracts';
import { isTransient } from '@ingot/daemon-kit';
import type { Rollout } from '../domain/deployment.ts';
import type { Context } from './context.ts';
import { failRollout } from './fail-rollout.ts';
import { explainEnd, hasVmEnded, lookAtVm } from './vm-failure.ts';

/**
 * Boots the VM, or sees how far it has come, and gives it the route once its app answers.
 *
 * @returns false when there is nothing to do but wait for the host's word.
 */
export async function bootVm(context: Context, rollout: Rollout): Promise<boolean> {
  const { store, clock } = context;
  const vm = await lookAtVm(context, rollout.vmId);
  if (vm === undefined || hasVmEnded(vm)) {
    await failRollout(context, rollout, await explainEnd(context, rollout, vm, 'health'));
    return true;
  }
  if (vm.state === proto.VmState.CREATED) {
    try {
      await context.metal.bootVm({ vmId: vm.id }, context.call());
    } catch (error) {
      // The host's own word on what became of the VM says more than the call's failure.
      if (isTransient(error) || !hasVmEnded(await lookAtVm(context, vm.id))) throw error;
      return true;
    }
    const events = [{ kind: 'step', text: 'health' }] as const;
    await store.change(rollout, { from: ['booting'], events }, clock.now());
    context.feed.notify(rollout.id);
    return false;
  }
  if (vm.state !== proto.VmState.RUNNING) return false;
  if (vm.billingDegraded) {
    const text =
      'billing does not answer: usage is kept on the host and will be billed once it is back';
    const events = [{ kind: 'warning', text }] as const;
    await store.change(rollout, { from: ['booting'], events }, clock.now());
  }
  const now = clock.now();
  await store.becomeReady(rollout, now, now + context.settings.drainSeconds * 1000);
  return true;
}
