import { metal as proto } from '@ingot/contracts';
import { IngotError } from '@ingot/daemon-kit';
import { appCommand } from '../domain/app-command.ts';
import type { Deployment, Rollout } from '../domain/deployment.ts';
import type { Context } from './context.ts';
import { failRollout } from './fail-rollout.ts';
import { explainEnd, hasVmEnded } from './vm-failure.ts';

/** Asks the host for the VM whose id is in the books; asking again gives the same VM. */
export async function createVm(
  context: Context,
  deployment: Deployment,
  rollout: Rollout,
): Promise<void> {
  const { spec, imageConfig } = rollout;
  if (!imageConfig) throw new IngotError('internal', 'a built rollout has lost its image');
  const { settings } = context;
  const vm = await context.metal.createVm(
    {
      vmId: rollout.vmId,
      spec: {
        tenantId: deployment.tenantId,
        deploymentId: deployment.id,
        hostname: deployment.name,
        vcpus: spec.vcpus,
        memoryMib: spec.memoryMib,
        diskMib: settings.diskMib,
        rootfsAssetId: rollout.rootfsAssetId,
        app: appCommand(spec, imageConfig),
        readyTimeoutSeconds: settings.readyTimeoutSeconds,
      },
    },
    context.call(),
  );
  if (hasVmEnded(vm) && vm.state !== proto.VmState.STOPPED) {
    return failRollout(context, rollout, await explainEnd(context, rollout, vm, 'create'));
  }
  await context.store.change(
    rollout,
    {
      from: ['creating'],
      set: { phase: 'booting' },
      endpoint: vm.endpoint,
      events: [{ kind: 'step', text: 'boot' }],
    },
    context.clock.now(),
  );
}
