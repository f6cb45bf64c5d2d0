import type { Vm } from '../domain/vm.ts';

/** Tells watchers of every change of a VM. A slow watcher gets the newest of each VM, not every one. */
export class VmFeed {
  readonly #watchers = new Set<(vm: Vm) => void>();

  publish(vm: Vm): void {
    for (const watcher of this.#watchers) watcher(vm);
  }

  /**
   * First what `snapshot` answers, then each change since before it was asked for; no change is
   * missed. Ends when the signal aborts.
   */
  async *watch(
    snapshot: () => Promise<readonly Vm[]>,
    wants: (id: string) => boolean,
    signal: AbortSignal,
  ): AsyncGenerator<Vm> {
    const pending = new Map<string, Vm>();
    let wake = (): void => undefined;
    const note = (vm: Vm): void => {
      if (!wants(vm.id)) return;
      // Put at the end again, so that a busy VM does not keep others waiting.
      pending.delete(vm.id);
      pending.set(vm.id, vm);
      wake();
    };
    const onAbort = (): void => wake();
    this.#watchers.add(note);
    signal.addEventListener('abort', onAbort);
    try {
      for (const vm of await snapshot()) {
        // A change that came meanwhile is newer.
        if (wants(vm.id) && !pending.has(vm.id)) yield vm;
      }
      while (!signal.aborted) {
        for (const [id, vm] of pending) {
          pending.delete(id);
          yield vm;
        }
        if (pending.size > 0 || signal.aborted) continue;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    } finally {
      this.#watchers.delete(note);
      signal.removeEventListener('abort', onAbort);
    }
  }
}
