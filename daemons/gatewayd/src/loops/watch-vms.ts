import { metal as proto } from '@ingot/contracts';
import { backoffMs, messageOf, type Random } from '@ingot/daemon-kit';
import type { Context } from '../actions/context.ts';
import { deleteVm } from '../actions/retire-vm.ts';

/** Keeps in mind what the host says of its VMs, and tells of every change. */
export class VmWatch {
  readonly #known = new Map<string, proto.Vm>();
  readonly #stopping = new AbortController();
  readonly #done: Promise<void>;

  /** @param onChange - called with the id of the deployment whose VM changed. */
  constructor(context: Context, random: Random, onChange: (deploymentId: string) => void) {
    this.#done = this.#follow(context, random, onChange);
  }

  /** The VM as the host last told it; undefined when it did not, or cannot be asked now. */
  known(id: string): proto.Vm | undefined {
    return this.#known.get(id);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#done;
  }

  async #follow(
    context: Context,
    random: Random,
    onChange: (deploymentId: string) => void,
  ): Promise<void> {
    const { signal } = this.#stopping;
    let failures = 0;
    while (!signal.aborted) {
      try {
        for await (const vm of context.metal.watchVms({}, { signal })) {
          failures = 0;
          await this.#note(context, vm);
          onChange(vm.spec?.deploymentId ?? '');
        }
      } catch (error) {
        if (!signal.aborted) context.logger.debug(`metald is away: ${messageOf(error)}`);
      }
      // What was said before may be true no more.
      this.#known.clear();
      failures += 1;
      const wait = backoffMs(failures, { baseMs: 50, capMs: 1000, random });
      await context.clock.sleep(wait, signal).catch(() => undefined);
    }
  }

  async #note(context: Context, vm: proto.Vm): Promise<void> {
    if (vm.state === proto.VmState.DELETED) this.#known.delete(vm.id);
    else this.#known.set(vm.id, vm);
    if (vm.state === proto.VmState.DELETED || (await context.store.ownsVm(vm.id))) return;
    // Every VM is in the books before it is asked for and until it is gone, so this one is left
    // over from books that were lost or put back.
    context.logger.warn({ vm: vm.id }, 'the host has a VM that nobody owns; removing it');
    await deleteVm(context, vm.id).catch((error: unknown) => {
      context.logger.warn({ vm: vm.id }, `cannot remove it: ${messageOf(error)}`);
    });
  }
}
