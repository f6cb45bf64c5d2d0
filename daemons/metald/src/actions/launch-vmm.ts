import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Vm } from '../domain/vm.ts';
import type { Vmm } from '../hypervisor/hypervisor.ts';
import type { Context } from './context.ts';
import { stageAssets } from './stage-assets.ts';

/** The VM's own directory. */
export function vmDir(vmId: string, { vmsDir }: Pick<Context, 'vmsDir'>): string {
  return join(vmsDir, vmId);
}

/**
 * Stages the VM's assets, takes its network slot and starts its VMM with the guest held. Every
 * step is written down before the next begins. The caller has written its intent, and gives
 * everything back when this fails.
 *
 * @returns the VM with its process, not yet stored.
 */
export async function launchVmm(vm: Vm, context: Context): Promise<{ vm: Vm; vmm: Vmm }> {
  const { store, network, hypervisor, uidBase } = context;
  const { assets, ...paths } = await stageAssets(vm, context);
  let launching: Vm = { ...vm, assets };
  await store.put(launching);

  const slot = await network.take(vm.id);
  const { index, hostAddress, vethName } = slot;
  launching = { ...launching, slot: { index, hostAddress, vethName } };
  await store.put(launching);

  const dir = vmDir(vm.id, context);
  await mkdir(dir, { recursive: true });
  const { hostname, vcpus, memoryMib, diskMib, app } = vm.spec;
  const { args, env, workingDir, user } = app;
  const vmm = await hypervisor.launch({
    vmId: vm.id,
    dir,
    vcpus,
    memoryMib,
    diskMib,
    ...paths,
    network: slot,
    uid: uidBase + index,
    hostname,
    app: { args, env, workingDir, user },
  });
  const { pid, startTimeTicks } = vmm.record;
  return { vm: { ...launching, process: { pid, startTimeTicks } }, vmm };
}
