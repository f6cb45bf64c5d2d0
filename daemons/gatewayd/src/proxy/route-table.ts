import { setTimeout as delay } from 'node:timers/promises';
import { Pool } from 'undici';
import type { Routes } from '../actions/context.ts';
import { type Deployment, stateOf } from '../domain/deployment.ts';

/** Where requests for a name go, or why they cannot. */
export type Route =
  | { kind: 'ready'; vmId: string; endpoint: string }
  | { kind: 'starting' | 'stopped' }
  /** The reason is fit for the public: it has no log lines. */
  | { kind: 'failed'; reason: string; message: string };

/** The connections to one VM. No other deployment's requests ever use them. */
export interface Upstream {
  readonly pool: Pool;
  /** Aborts when the VM is given up: ends what the pool does not know of. */
  readonly cut: AbortSignal;
  /** To be called when the request is over. */
  readonly release: () => void;
}

interface VmConnections {
  pool: Pool;
  running: number;
  idle: PromiseWithResolvers<void> | undefined;
  /** Ends what a pool does not know: spliced connections. */
  cut: AbortController;
}

/** Who answers for each name, in memory: it is made from the books at every start. */
export class RouteTable implements Routes {
  readonly #routes = new Map<string, Route>();
  readonly #vms = new Map<string, VmConnections>();

  find(name: string): Route | undefined {
    return this.#routes.get(name);
  }

  apply(deployment: Deployment): void {
    const route = routeOf(deployment);
    if (route) this.#routes.set(deployment.name, route);
    else this.#routes.delete(deployment.name);
  }

  remove(name: string): void {
    this.#routes.delete(name);
  }

  /** Counts a request of the VM as running until it is released. */
  acquire({ vmId, endpoint }: Extract<Route, { kind: 'ready' }>): Upstream {
    let vm = this.#vms.get(vmId);
    if (!vm) {
      vm = {
        pool: new Pool(`http://${endpoint}`, {
          pipelining: 1,
          // The gateway has a time limit of its own that starts once the request is sent.
          headersTimeout: 0,
          bodyTimeout: 0,
          connectTimeout: 5000,
        }),
        running: 0,
        idle: undefined,
        cut: new AbortController(),
      };
      this.#vms.set(vmId, vm);
    }
    const held = vm;
    held.running += 1;
    let released = false;
    return {
      pool: held.pool,
      cut: held.cut.signal,
      release: () => {
        if (released) return;
        released = true;
        held.running -= 1;
        if (held.running === 0) held.idle?.resolve();
      },
    };
  }

  async drained(vmId: string, ms: number, signal: AbortSignal): Promise<void> {
    const vm = this.#vms.get(vmId);
    if (!vm || vm.running === 0 || ms <= 0) return;
    vm.idle ??= Promise.withResolvers<void>();
    const over = new AbortController();
    const limit = AbortSignal.any([signal, over.signal]);
    await Promise.race([vm.idle.promise, delay(ms, undefined, { signal: limit })]).finally(() =>
      over.abort(),
    );
  }

  async close(vmId: string): Promise<void> {
    const vm = this.#vms.get(vmId);
    this.#vms.delete(vmId);
    vm?.cut.abort();
    await vm?.pool.destroy();
  }

  async closeAll(): Promise<void> {
    await Promise.all([...this.#vms.keys()].map((vmId) => this.close(vmId)));
  }
}

function routeOf(deployment: Deployment): Route | undefined {
  const { serving, failure } = deployment;
  const endpoint = deployment.vms.find((vm) => vm.id === serving?.vmId)?.endpoint;
  if (serving && endpoint) return { kind: 'ready', vmId: serving.vmId, endpoint };
  const state = stateOf(deployment);
  if (state === 'deleting') return undefined;
  if (state === 'stopped') return { kind: 'stopped' };
  if (state !== 'failed') return { kind: 'starting' };
  const { reason = 'failed', message = 'the deploy failed' } = failure ?? {};
  return { kind: 'failed', reason, message };
}
