import type { Clock, Random } from './clock.ts';

export interface RetryOptions {
  clock: Clock;
  random: Random;
  signal: AbortSignal;
  /** The first wait is somewhere in [0, baseMs]. */
  baseMs: number;
  /** No wait is longer than this. */
  capMs: number;
  /** Told of every failed try; throw from it to give up. */
  onError?: (error: unknown, attempt: number) => void;
}

/**
 * Runs `task` until it works, waiting with capped exponential back-off and full jitter between
 * tries ("Exponential Backoff And Jitter", AWS Architecture Blog, 2015). Rejects only when the
 * signal aborts or `onError` throws.
 */
export async function retry<T>(
  task: (attempt: number) => Promise<T>,
  options: RetryOptions,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    options.signal.throwIfAborted();
    try {
      return await task(attempt);
    } catch (error) {
      options.signal.throwIfAborted();
      options.onError?.(error, attempt);
    }
    await options.clock.sleep(backoffMs(attempt, options), options.signal);
  }
}

/** The wait after the given failed attempt (1 for the first), in milliseconds. */
export function backoffMs(
  attempt: number,
  options: Pick<RetryOptions, 'baseMs' | 'capMs' | 'random'>,
): number {
  const ceiling = Math.min(options.capMs, options.baseMs * 2 ** Math.min(attempt - 1, 30));
  return options.random() * ceiling;
}
