interface Sleeper {
  readonly dueMs: number;
  wake(): void;
}

/**
 * Time that moves only when told to. It has the shape of the kit's Clock: `now` is Unix ms,
 * `monotonicMs` counts from 0 and never follows `jump`.
 */
export class SimulatedClock {
  #monotonicMs = 0;
  #offsetMs: number;
  #sleepers: Sleeper[] = [];

  constructor(startUnixMs: number = Date.UTC(2026, 0, 1)) {
    this.#offsetMs = startUnixMs;
  }

  now(): number {
    return this.#offsetMs + this.#monotonicMs;
  }

  monotonicMs(): number {
    return this.#monotonicMs;
  }

  /** Resolves once `advance` has moved time by `ms`; rejects with the signal's reason. */
  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const sleeper: Sleeper = {
        dueMs: this.#monotonicMs + Math.max(0, ms),
        wake: () => {
          signal?.removeEventListener('abort', onAbort);
          resolve();
        },
      };
      const onAbort = () => {
        this.#sleepers = this.#sleepers.filter((other) => other !== sleeper);
        reject(signal?.reason);
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#sleepers.push(sleeper);
    });
  }

  /** How many callers are asleep: lets a test wait until the code under test waits. */
  get sleeping(): number {
    return this.#sleepers.length;
  }

  /**
   * Moves time by `ms`, waking sleepers in the order they are due; what they do next (and the
   * sleeps they start) happens before later sleepers wake.
   */
  async advance(ms: number): Promise<void> {
    const target = this.#monotonicMs + ms;
    for (;;) {
      await settle();
      const next = this.#sleepers
        .filter((sleeper) => sleeper.dueMs <= target)
        .reduce<Sleeper | undefined>((a, b) => (a && a.dueMs <= b.dueMs ? a : b), undefined);
      if (!next) break;
      this.#monotonicMs = Math.max(this.#monotonicMs, next.dueMs);
      this.#sleepers = this.#sleepers.filter((other) => other !== next);
      next.wake();
    }
    this.#monotonicMs = target;
    await settle();
  }

  /** Moves the wall clock alone, as an administrator or NTP would. */
  jump(ms: number): void {
    this.#offsetMs += ms;
  }
}

function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
