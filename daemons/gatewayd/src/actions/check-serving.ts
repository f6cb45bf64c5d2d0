import type { metal as proto } from '@ingot/contracts';
import type { Deployment } from '../domain/deployment.ts';
import type { Context } from './context.ts';
import { explainEnd, hasVmEnded, lookAtVm } from './vm-failure.ts';

/**
 * Sees whether the VM that has the route still runs, and writes down why when it does not.
 *
 * @param known - the VM as the host last told it; undefined asks the host.
 * @returns true when it has ended.
 */
export async function checkServing(
  context: Context,
  deployment: Deployment,
  known: proto.Vm | undefined,
): Promise<boolean> {
  const { serving } = deployment;
  if (!serving) return false;
  const vm = known ?? (await lookAtVm(context, serving.vmId));
  if (!hasVmEnded(vm)) return false;
  const failure = await explainEnd(context, serving, vm, 'run');
  await context.store.failServing(serving, failure, context.clock.now());
  context.logger.warn(
    { deployment: deployment.id, vm: serving.vmId, reason: failure.reason },
    `a deployment ended by itself: ${failure.message}`,
  );
  return true;
}
