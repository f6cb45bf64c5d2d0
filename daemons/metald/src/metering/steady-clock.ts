import type { Clock } from '@ingot/daemon-kit';

/** A difference between the two clocks beyond this is a step of the wall clock. */
const stepMs = 50;
/** Reading both clocks took longer than this: something came in between. */
const apartMs = 1;

/**
 * The wall clock in whole milliseconds without its steps. While nobody sets the clock, differences
 * are exactly those of the wall clock, so that the parts of a run's life add up to what its start
 * and end say; a step changes the wall clock alone, and no one is billed for it.
 */
export class SteadyClock {
  readonly #clock: Clock;
  #last: { unixMs: number; monotonicMs: number };
  /** How far the wall clock was set forward since. */
  #stepsMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#last = this.#readBoth();
  }

  /** The same instant on the wall clock and on the steady one. */
  read(): { unixMs: number; steadyMs: number } {
    const now = this.#readBoth();
    const elapsedMs = now.monotonicMs - this.#last.monotonicMs;
    const step = now.unixMs - this.#last.unixMs - elapsedMs;
    if (Math.abs(step) > stepMs) this.#stepsMs += Math.round(step);
    this.#last = now;
    return { unixMs: now.unixMs, steadyMs: now.unixMs - this.#stepsMs };
  }

  /** A wall clock reading taken since the last step, on the steady clock. */
  steadyAt(unixMs: number): number {
    this.read();
    return unixMs - this.#stepsMs;
  }

  #readBoth(): { unixMs: number; monotonicMs: number } {
    for (let attempt = 1; ; attempt++) {
      const before = this.#clock.monotonicMs();
      const unixMs = this.#clock.now();
      const monotonicMs = this.#clock.monotonicMs();
      if (monotonicMs - before <= apartMs || attempt === 5) return { unixMs, monotonicMs };
    }
  }
}
