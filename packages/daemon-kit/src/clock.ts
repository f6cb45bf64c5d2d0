import { setTimeout as delay } from 'node:timers/promises';

/** Where time comes from. Passed through constructors, so that tests can hold it. */
export interface Clock {
  /** Wall clock, Unix milliseconds. May jump. */
  now(): number;
  /** Milliseconds since an arbitrary start, with fractions. Never falls. */
  monotonicMs(): number;
  /** Resolves after `ms` milliseconds; rejects with the signal's reason when it aborts first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep: async (ms, signal) => {
    signal?.throwIfAborted();
    try {
      await delay(ms, undefined, signal ? { signal } : {});
    } catch (cause) {
      signal?.throwIfAborted();
      throw cause;
    }
  },
};

/** Where randomness that no secret depends on comes from: a number in [0, 1). */
export type Random = () => number;

export const systemRandom: Random = Math.random;
