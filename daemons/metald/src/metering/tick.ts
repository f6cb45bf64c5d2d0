import type { Clock, Logger } from '@ingot/daemon-kit';

/**
 * Runs `task` on every multiple of `everyMs` of the monotonic clock. A tick that comes late takes
 * the place of those it missed: they are skipped, never made up for in a burst. A task that throws
 * is logged.
 */
export function startTick(options: {
  everyMs: number;
  clock: Clock;
  logger: Logger;
  task: () => void;
}): { stop(): Promise<void> } {
  const { everyMs, clock, logger } = options;
  const stopping = new AbortController();

  async function turn(): Promise<void> {
    let last = Number.NEGATIVE_INFINITY;
    while (!stopping.signal.aborted) {
      const now = clock.monotonicMs();
      // Timers may fire a fraction early: the grid point just served is not served again.
      const next = (Math.floor(Math.max(now, last) / everyMs) + 1) * everyMs;
      try {
        await clock.sleep(next - now, stopping.signal);
      } catch {
        return;
      }
      last = next;
      try {
        options.task();
      } catch (error) {
        logger.error({ err: error }, 'a tick of metering failed');
      }
    }
  }

  const done = turn();
  return {
    stop: async () => {
      stopping.abort();
      await done;
    },
  };
}
