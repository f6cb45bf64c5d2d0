import { IngotError } from '@ingot/daemon-kit';
import { checkMove, isSameSpec, type Vm, type VmSpec } from '../domain/vm.ts';
import { attachVmm } from './attach-vmm.ts';
import type { Context } from './context.ts';
import { launchVmm } from './launch-vmm.ts';
import { endVmm, releaseVm } from './release-vm.ts';

/**
 * Makes a VM whose guest is held before its first instruction. The same id and spec again answers
 * with the same VM. When a step fails, everything taken is given back and no VM remains.
 *
 * @throws IngotError already_exists for another spec; illegal_state for the id of a deleted VM;
 *   asset_missing, host_full and whatever else a step met.
 */
export function createVm(
  { id, spec }: { id: string; spec: VmSpec },
  context: Context,
): Promise<Vm> {
  const { store, mutex, clock, feed, logger } = context;
  return mutex.run(id, async () => {
    const known = await store.get(id);
    if (known && known.intent !== 'create') return sameVm(known, spec);
    if (known) await takeBackCreation(known, context);

    const intended: Vm = {
      id,
      spec,
      state: 'created',
      intent: 'create',
      bootEpoch: 0,
      assetsHeld: true,
      createdAtMs: clock.now(),
      runOpen: false,
    };
    await store.put(intended);
    try {
      const { vm, vmm } = await launchVmm(intended, context);
      const created: Vm = { ...vm, intent: undefined };
      // In hand before it is written down: what fails from here on finds it.
      attachVmm(id, vmm, context);
      await store.put(created);
      feed.publish(created);
      return created;
    } catch (error) {
      const left = (await store.get(id)) ?? intended;
      await takeBackCreation(left, context).catch((cause: unknown) => {
        logger.error({ err: cause, vmId: id }, 'a failed creation is cleaned up later');
      });
      throw error;
    }
  });
}

/**
 * Gives back whatever a creation that was cut short had taken, and forgets the VM. The caller
 * holds the VM's mutex. Safe to repeat.
 */
export async function takeBackCreation(vm: Vm, context: Context): Promise<void> {
  await endVmm(vm, context);
  const released = await releaseVm(vm, context);
  // Leases that cannot be given back now keep the record, for the reconciler.
  if (released.assetsHeld) await context.store.put(released);
  else await context.store.remove(vm.id);
}

function sameVm(known: Vm, spec: VmSpec): Vm {
  if (known.state === 'deleted') checkMove(known, 'created');
  if (isSameSpec(known.spec, spec)) return known;
  throw new IngotError('already_exists', `VM ${known.id} exists with another specification`, {
    remedy: 'use another id for another VM',
    facts: { vmId: known.id },
  });
}
