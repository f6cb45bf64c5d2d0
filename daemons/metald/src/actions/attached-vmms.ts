import type { Vmm } from '../hypervisor/hypervisor.ts';

interface Attached {
  readonly vmm: Vmm;
  /** Aborts when the VMM is let go of: ends whatever waits for its guest. */
  readonly letGo: AbortController;
}

/** The VMM processes this life of metald has in hand, and the tasks that wait on them. */
export class AttachedVmms {
  readonly #byVm = new Map<string, Attached>();
  readonly #tasks = new Set<Promise<void>>();

  get(vmId: string): Vmm | undefined {
    return this.#byVm.get(vmId)?.vmm;
  }

  /** Takes the VMM in hand. @returns a signal that aborts when it is let go of. */
  add(vmId: string, vmm: Vmm): AbortSignal {
    const letGo = new AbortController();
    this.#byVm.set(vmId, { vmm, letGo });
    return letGo.signal;
  }

  signalOf(vmId: string): AbortSignal | undefined {
    return this.#byVm.get(vmId)?.letGo.signal;
  }

  /** Lets go of a VMM that has ended. */
  drop(vmId: string): void {
    this.#byVm.get(vmId)?.letGo.abort();
    this.#byVm.delete(vmId);
  }

  /** Keeps a task that runs beside the calls; a failure of it is told to `onError`. */
  run(task: Promise<void>, onError: (error: unknown) => void): void {
    const kept: Promise<void> = task.catch(onError).finally(() => this.#tasks.delete(kept));
    this.#tasks.add(kept);
  }

  /** Lets go of all of them; they run on. Waits for the tasks. */
  async detachAll(): Promise<void> {
    const all = [...this.#byVm.values()];
    this.#byVm.clear();
    for (const { letGo } of all) letGo.abort();
    await Promise.all(all.map(({ vmm }) => vmm.detach()));
    await Promise.all(this.#tasks);
  }
}
