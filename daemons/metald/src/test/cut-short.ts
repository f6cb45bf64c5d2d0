import type { Context } from '../actions/context.ts';

const parts = ['store', 'hypervisor', 'network', 'metering', 'assets'] as const;

const looks = /^store\.(get|list|unsettled)$/;

/** A life of metald that ends at a chosen step, as `kill -9` would end it. */
export interface CutLife {
  context: Context;
  /** Resolves when the life has ended; never, when its steps were not enough. */
  ended: Promise<void>;
  /** The steps taken so far, such as "network.take". */
  steps: string[];
}

/**
 * The context with every call to the outside counted. Call number `at` (from 1) is not made when
 * `before` is true, else it is made and its answer lost; from then on nothing of this life happens
 * any more: its calls never answer.
 */
export function cutShort(context: Context, at: number, before: boolean): CutLife {
  const ended = Promise.withResolvers<void>();
  const steps: string[] = [];
  const never = new Promise<never>(() => undefined);
  const counted = new WeakSet<object>();
  let dead = false;

  async function step(name: string, call: () => unknown): Promise<unknown> {
    if (dead) return never;
    // What only looks changes nothing: cutting there is cutting before the next step.
    if (looks.test(name)) return call();
    steps.push(name);
    const last = steps.length === at;
    if (last) dead = true;
    if (!(last && before)) {
      const answer: unknown = await call();
      if (!dead) return wrap(answer);
    }
    if (last) ended.resolve();
    return never;
  }
  function wrap(answer: unknown): unknown {
    if (!isVmm(answer) || counted.has(answer)) return answer;
    const vmm = watched(answer, 'vmm');
    counted.add(vmm);
    return vmm;
  }
  function watched<T extends object>(target: T, name: string): T {
    return new Proxy(target, {
      get: (_, key) => {
        const value: unknown = Reflect.get(target, key);
        if (typeof value !== 'function' || key === 'consolePath') return value;
        const call = value as (...args: unknown[]) => unknown;
        if (key === 'openRuns') return () => call.call(target);
        return (...args: unknown[]) =>
          step(`${name}.${String(key)}`, () => call.apply(target, args));
      },
    });
  }

  const cut: Record<string, unknown> = { ...context };
  for (const part of parts) cut[part] = watched(context[part], part);
  const { attached } = context;
  cut['attached'] = new Proxy(attached, {
    get: (_, key) => {
      if (key === 'get') return (id: string) => wrap(attached.get(id));
      const value: unknown = Reflect.get(attached, key);
      return typeof value === 'function' ? (value.bind(attached) as unknown) : value;
    },
  });
  return { context: cut as unknown as Context, ended: ended.promise, steps };
}

function isVmm(value: unknown): value is object {
  return typeof value === 'object' && value !== null && 'requestShutdown' in value;
}
