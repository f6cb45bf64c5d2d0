import { metal as proto } from '@ingot/contracts';
import { backoffMs, messageOf, type Random } from '@ingot/daemon-kit';
import type { Context } from '../actions/context.ts';
import { deleteVm } from '../actions/retire-vm.ts';
import { lookAtVm } from '../actions/vm-failure.ts';

/** Whom the host's news is for. */
export interface HostNews {
  /** A VM of the deployment changed. */
  kick(deploymentId: string): void;
  /** The host can be heard (again): anything may have happened meanwhile. */
  kickAll(): Promise<void>;
}

/** Keeps in mind what the host says of its VMs, and tells of every change. */
export class VmWatch {
  readonly #known = new Map<string, proto.Vm>();
  readonly #stopping = new AbortController();
  readonly #context: Context;
  #done: Promise<void> = Promise.resolve();

  #connected = false;

  constructor(context: Context) {
    this.#context = context;
  }

  start(random: Random, news: HostNews): void {
    this.#done = this.#follow(this.#context, random, news);
  }

  /** Whether the host can be heard now. */
  get connected(): boolean {
    return this.#connected;
  }

  /** The VM as the host last told it; undefined when it did not, or cannot be asked now. */
  known(id: string): proto.Vm | undefined {
    return this.#known.get(id);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#done;
  }

  async #follow(context: Context, random: Random, news: HostNews): Promise<void> {
    const { signal } = this.#stopping;
    let failures = 0;
    while (!signal.aborted) {
      try {
        // A stream says nothing while nothing happens, so this tells that the host is there.
        await context.metal.listVms({ pageSize: 1 }, context.call());
        this.#connected = true;
        await news.kickAll();
        for await (const vm of context.metal.watchVms({}, { signal })) {
          failures = 0;
          await this.#note(context, vm);
          news.kick(vm.spec?.deploymentId ?? '');
        }
      } catch (error) {
        if (!signal.aborted) context.logger.debug(`metald is away: ${messageOf(error)}`);
      }
      // What was said before may be true no more.
      this.#connected = false;
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
    // This may be late news of one that was just removed.
    const now = await lookAtVm(context, vm.id).catch(() => undefined);
    if (!now || now.state === proto.VmState.DELETED) return;
    // Every VM is in the books before it is asked for and until it is gone, so this one is left
    // over from books that were lost or put back.
    context.logger.warn({ vm: vm.id }, 'the host has a VM that nobody owns; removing it');
    await deleteVm(context, vm.id).catch((error: unknown) => {
      context.logger.warn({ vm: vm.id }, `cannot remove it: ${messageOf(error)}`);
    });
  }
}
