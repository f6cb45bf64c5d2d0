import type { metal as proto } from '@ingot/contracts';
import { type Deployment, isInProgress } from '../domain/deployment.ts';
import type { Context } from './context.ts';
import { startAgain } from './deploy.ts';
import { explainEnd, hasVmEnded, isVmLost, lookAtVm } from './vm-failure.ts';

/**
 * Sees whether the VM that has the route still runs. When the app has ended, why is written down;
 * when the host no longer has the VM (it was taken down and came back), another one is wanted.
 *
 * @param known - the VM as the host last told it; undefined asks the host.
 * @returns true when the books have changed.
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
  const replacing = isInProgress(deployment.newest);
  const facts = { deployment: deployment.id, vm: serving.vmId };
  if (isVmLost(vm) && !replacing && deployment.desired === 'running') {
    await startAgain(context, deployment, serving);
    context.logger.warn(facts, 'the host no longer has the VM of a deployment; it gets another');
    return true;
  }
  const failure = await explainEnd(context, serving, vm, 'run');
  // While another revision is on its way, that one says what becomes of the deployment.
  await context.store.failServing(serving, replacing ? undefined : failure, context.clock.now());
  context.logger.warn(
    { ...facts, reason: failure.reason },
    `a deployment ended by itself: ${failure.message}`,
  );
  return true;
}
