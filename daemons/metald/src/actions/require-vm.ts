import { IngotError } from '@ingot/daemon-kit';
import { isVisible, type Vm } from '../domain/vm.ts';
import type { Context } from './context.ts';

/** @throws IngotError vm_not_found */
export async function requireVm(id: string, { store }: Pick<Context, 'store'>): Promise<Vm> {
  const vm = await store.get(id);
  if (vm && isVisible(vm)) return vm;
  throw new IngotError('vm_not_found', `there is no VM ${id} on this host`, {
    remedy: 'list the VMs of the host',
    facts: { vmId: id },
  });
}
