import type { Clock } from './clock.ts';
import type { Logger } from './logger.ts';

/** Something that runs by itself. */
export interface Loop {
  /** Runs it now; while it runs, once more right after. */
  kick(): void;
  /** Starts no further run and waits for the current one, whose signal aborts. */
  stop(): Promise<void>;
}

/**
 * Runs `run` at once, then again `everyMs` after each run has ended, one at a time. A run that
 * fails is logged and does not end the loop.
 */
export function startLoop(options: {
  name: string;
  everyMs: number;
  clock: Clock;
  logger: Logger;
  run: (signal: AbortSignal) => Promise<void>;
}): Loop {
  const stopping = new AbortController();
  let wake = new AbortController();
  let kicked = false;

  async function turn(): Promise<void> {
    while (!stopping.signal.aborted) {
      kicked = false;
      wake = new AbortController();
      try {
        await options.run(stopping.signal);
      } catch (error) {
        if (stopping.signal.aborted) return;
        options.logger.error({ err: error, loop: options.name }, 'a run of a loop failed');
      }
      if (kicked || stopping.signal.aborted) continue;
      const signal = AbortSignal.any([wake.signal, stopping.signal]);
      await options.clock.sleep(options.everyMs, signal).catch(() => undefined);
    }
  }

  const done = turn();
  return {
    kick: () => {
      kicked = true;
      wake.abort();
    },
    stop: async () => {
      stopping.abort();
      await done;
    },
  };
}
