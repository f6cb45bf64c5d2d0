import {
  backoffMs,
  isTransient,
  type Loop,
  messageOf,
  type Random,
  retry,
  startLoop,
} from '@ingot/daemon-kit';
import type { Context } from '../actions/context.ts';
import { converge, noteTrouble } from '../actions/converge.ts';
import { retireVm } from '../actions/retire-vm.ts';
import type { VmWatch } from './watch-vms.ts';
import type { OwnedVm } from '../domain/deployment.ts';

const backoff = { baseMs: 50, capMs: 1000 };
/** Everything is looked at this often, whatever anyone says or fails to say. */
const resyncMs = 10_000;

/**
 * Makes deployments what the books say they should be. Each has a worker of its own that ends
 * when there is nothing to do; `kick` tells it to look again. Nothing but speed depends on kicks.
 */
export class Reconciler {
  readonly #context: Context;
  readonly #random: Random;
  readonly #host: Pick<VmWatch, 'known'>;
  readonly #workers = new Map<string, { turn: AbortController; done: Promise<void> }>();
  readonly #retiring = new Map<string, Promise<void>>();
  readonly #stopping = new AbortController();
  #resync: Loop | undefined;

  constructor(context: Context, random: Random, host: Pick<VmWatch, 'known'>) {
    this.#context = context;
    this.#random = random;
    this.#host = host;
  }

  start(): void {
    const { clock, logger } = this.#context;
    this.#resync = startLoop({
      name: 'resync',
      everyMs: resyncMs,
      clock,
      logger,
      run: () => this.kickAll(),
    });
  }

  /** Has the deployment looked at now; a worker that waits for something stops waiting. */
  kick(id: string): void {
    if (this.#stopping.signal.aborted) return;
    const worker = this.#workers.get(id);
    if (worker) {
      worker.turn.abort();
      return;
    }
    const started = { turn: new AbortController(), done: Promise.resolve() };
    this.#workers.set(id, started);
    started.done = this.#work(id, started);
  }

  async kickAll(): Promise<void> {
    for (const id of await this.#context.store.listIds()) this.kick(id);
  }

  /** Leaves everything where it is; what was going on is taken up at the next start. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#resync?.stop();
    for (const { turn } of this.#workers.values()) turn.abort();
    await Promise.all([...this.#workers.values()].map(({ done }) => done));
    await Promise.all(this.#retiring.values());
  }

  async #work(id: string, worker: { turn: AbortController }): Promise<void> {
    let failures = 0;
    while (!this.#stopping.signal.aborted) {
      worker.turn = new AbortController();
      const { signal } = worker.turn;
      let waitMs: number | undefined;
      try {
        const outcome = await converge(
          this.#context,
          id,
          { knownVm: (vmId) => this.#host.known(vmId), retire: (vm) => this.#retire(vm) },
          signal,
        );
        failures = 0;
        waitMs = outcome.againInMs;
      } catch (error) {
        failures += 1;
        waitMs = backoffMs(failures, { ...backoff, random: this.#random });
        await this.#report(id, error);
      }
      if (signal.aborted || waitMs === 0) continue;
      if (waitMs === undefined) break;
      await this.#context.clock.sleep(waitMs, signal).catch(() => undefined);
    }
    this.#workers.delete(id);
  }

  async #report(id: string, error: unknown): Promise<void> {
    const { logger } = this.#context;
    if (this.#stopping.signal.aborted) return;
    if (isTransient(error)) logger.debug({ deployment: id }, messageOf(error));
    else logger.error({ err: error, deployment: id }, 'a step failed; it is tried again');
    try {
      await noteTrouble(this.#context, id, error);
    } catch (second) {
      logger.error({ err: second, deployment: id }, 'cannot write down what went wrong');
    }
  }

  #retire(vm: OwnedVm): void {
    if (this.#retiring.has(vm.id) || this.#stopping.signal.aborted) return;
    const { clock, logger } = this.#context;
    const { signal } = this.#stopping;
    const done = retry(() => retireVm(this.#context, vm, signal), {
      clock,
      random: this.#random,
      signal,
      ...backoff,
      onError: (error) => logger.debug({ vm: vm.id }, `cannot remove yet: ${messageOf(error)}`),
    }).catch((error: unknown) => {
      if (!signal.aborted) logger.error({ err: error, vm: vm.id }, 'removing a VM failed');
    });
    this.#retiring.set(
      vm.id,
      done.then(() => {
        this.#retiring.delete(vm.id);
        this.kick(vm.deploymentId);
      }),
    );
  }
}
