import { isVisible, type Vm } from '../domain/vm.ts';
import type { Context } from './context.ts';

/**
 * Each VM as it is now, then again at every change, until the signal aborts. Deleted VMs are told
 * of when they go, and at first only to who asks for them by id.
 *
 * @param ids - none watches every VM.
 */
export function watchVms(
  ids: readonly string[],
  signal: AbortSignal,
  { store, feed }: Context,
): AsyncGenerator<Vm> {
  const wanted = new Set(ids);
  const snapshot = async (): Promise<Vm[]> => {
    if (wanted.size === 0) {
      const all = await store.unsettled();
      return all.filter((vm) => isVisible(vm) && vm.state !== 'deleted');
    }
    const found = await Promise.all([...wanted].map((id) => store.get(id)));
    return found.filter((vm) => vm !== undefined).filter(isVisible);
  };
  return feed.watch(snapshot, (id) => wanted.size === 0 || wanted.has(id), signal);
}
