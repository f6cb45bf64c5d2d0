import { metal as proto } from '@ingot/contracts';
import { isIngotError, messageOf } from '@ingot/daemon-kit';
import type { Failure, FailedStep, Rollout } from '../domain/deployment.ts';
import type { Context } from './context.ts';

const ended: readonly proto.VmState[] = [
  proto.VmState.STOPPED,
  proto.VmState.FAILED,
  proto.VmState.DELETED,
];

/** The VM as its host knows it now; undefined when the host does not know it. */
export async function lookAtVm(context: Context, vmId: string): Promise<proto.Vm | undefined> {
  try {
    return await context.metal.getVm({ vmId }, context.call());
  } catch (error) {
    if (isIngotError(error, 'vm_not_found', 'not_found')) return undefined;
    throw error;
  }
}

/** Whether the app in it runs no more and will not again. */
export function hasVmEnded(vm: proto.Vm | undefined): boolean {
  return vm === undefined || ended.includes(vm.state);
}

/** Whether the host has nothing of it any more. */
export function isVmLost(vm: proto.Vm | undefined): boolean {
  return vm === undefined || vm.state === proto.VmState.DELETED;
}

/** Why a VM that has ended did so, in words for the customer. */
export async function explainEnd(
  context: Context,
  rollout: Rollout,
  vm: proto.Vm | undefined,
  step: FailedStep,
): Promise<Failure> {
  if (!vm || vm.state === proto.VmState.DELETED) {
    return {
      step,
      reason: 'host_lost',
      message: 'the host no longer has the VM',
      remedy: 'start the deployment again',
      log: [],
    };
  }
  const failure = vm.failure;
  const reason = failure?.reason || 'app_exited';
  const exitCode = failure?.exitCode ?? vm.exitCode;
  const log = failure?.log ?? [];
  return {
    step: step === 'run' || !['boot_failed', 'vmm_crashed'].includes(reason) ? step : 'boot',
    reason,
    message:
      failure?.message || `the app ended${exitCode === undefined ? '' : ` with code ${exitCode}`}`,
    remedy: remedyFor(reason, rollout),
    exitCode,
    log: log.length > 0 ? log : await consoleTail(context, vm.id),
  };
}

function remedyFor(reason: string, { spec }: Rollout): string {
  switch (reason) {
    case 'app_exited':
      return 'the log shows what the app wrote last; correct it and deploy again';
    case 'not_ready':
      return `let the app listen on 0.0.0.0 at the port in $PORT${spec.port ? ` (${spec.port})` : ''}, or deploy with the port it does listen on`;
    default:
      return 'deploy again; if it fails again, the operator finds the cause in the log of metald';
  }
}

/** Explaining must not fail because the explanation cannot be had. */
async function consoleTail(context: Context, vmId: string): Promise<string[]> {
  const chunks: Uint8Array[] = [];
  try {
    const call = { timeoutMs: 2000 };
    for await (const { data } of context.metal.streamConsole({ vmId, tailLines: 20 }, call)) {
      chunks.push(data);
    }
  } catch (error) {
    context.logger.debug({ vmId }, `no console: ${messageOf(error)}`);
  }
  const text = Buffer.concat(chunks).toString('utf8').trimEnd();
  return text === '' ? [] : text.split(/\r?\n/).slice(-20);
}
