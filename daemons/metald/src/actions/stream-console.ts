import { readConsole } from './console.ts';
import type { Context } from './context.ts';
import { vmDir } from './launch-vmm.ts';
import { requireVm } from './require-vm.ts';

/**
 * What the app of a VM has written, and with `follow` what it writes from now on until the VM is
 * deleted.
 *
 * @param reading.tailLines - 0 for all that is kept.
 * @throws IngotError vm_not_found
 */
export async function* streamConsole(
  reading: { id: string; follow: boolean; tailLines: number; signal: AbortSignal },
  context: Context,
): AsyncGenerator<Buffer> {
  const { id, follow, tailLines, signal } = reading;
  const { store, hypervisor, clock } = context;
  await requireVm(id, context);
  yield* readConsole({
    path: hypervisor.consolePath(vmDir(id, context)),
    tailLines,
    follow,
    isOver: async () => {
      const vm = await store.get(id);
      return vm === undefined || vm.state === 'deleted';
    },
    clock,
    signal,
  });
}
