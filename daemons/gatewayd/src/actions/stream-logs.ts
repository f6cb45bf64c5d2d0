import { IngotError } from '@ingot/daemon-kit';
import type { Deployment } from '../domain/deployment.ts';
import type { Context } from './context.ts';

/**
 * What the deployment's app wrote: of the VM that serves, else of the one being brought up, else
 * what was kept of the one that failed. Following ends with that VM.
 *
 * @param tailLines - begin with at most so many last lines; 0 with all that is kept.
 * @throws IngotError illegal_state when nothing runs and nothing was kept.
 */
export async function* streamLogs(
  { metal }: Context,
  deployment: Deployment,
  follow: boolean,
  tailLines: number,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const { serving, newest, vms, failure, name } = deployment;
  const vm = vms.find(({ id }) => id === serving?.vmId) ?? vms.find(({ id }) => id === newest.vmId);
  if (vm && vm.endpoint !== '' && deployment.desired === 'running' && !(failure && !serving)) {
    for await (const { data } of metal.streamConsole(
      { vmId: vm.id, follow, tailLines },
      { signal },
    )) {
      yield data;
    }
    return;
  }
  if (failure && failure.log.length > 0) {
    yield Buffer.from(`${failure.log.slice(-tailLines).join('\n')}\n`);
    return;
  }
  throw new IngotError('illegal_state', `${name} has no log: no VM of it runs`, {
    remedy: `start it with \`ingot start ${name}\`, or see with \`ingot ps\` why it does not run`,
  });
}
