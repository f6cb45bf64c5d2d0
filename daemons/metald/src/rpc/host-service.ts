import type { ServiceImpl } from '@connectrpc/connect';
import type { metal } from '@ingot/contracts';
import type { Context } from '../actions/context.ts';
import type { HypervisorProbe } from '../hypervisor/hypervisor.ts';

/** What this host is and has. */
export function hostService(
  { store, metering }: Pick<Context, 'store' | 'metering'>,
  host: { probe: HypervisorProbe; vcpus: number; memoryBytes: number },
): ServiceImpl<typeof metal.HostService> {
  return {
    getHost: async () => {
      const vms = await store.unsettled();
      return {
        id: store.hostId,
        accelerator: host.probe.accelerator,
        hypervisor: `${host.probe.name} ${host.probe.version}`,
        vcpus: host.vcpus,
        memoryBytes: BigInt(host.memoryBytes),
        vmsRunning: vms.filter(({ state }) => state === 'running').length,
        billingDegraded: metering.billingDegraded,
      };
    },
  };
}
