import { type Clock, type Gauge, type Logger, type Loop, startLoop } from '@ingot/daemon-kit';
import type { HostWatch } from '../actions/host-watch.ts';
import type { RunBook } from '../actions/run-book.ts';
import { findLateRuns } from '../domain/lateness.ts';
import { runId } from '../domain/run.ts';

const everyMs = 30_000;

/** Says, once per run until it has caught up, whose samples are overdue, and keeps count of them. */
export function startGapDetector(options: {
  book: RunBook;
  hosts: HostWatch;
  lateRuns: Gauge;
  clock: Clock;
  logger: Logger;
}): Loop {
  const { book, hosts, lateRuns, clock, logger } = options;
  let reported = new Set<string>();
  return startLoop({
    name: 'detect-gaps',
    everyMs,
    clock,
    logger,
    run: async () => {
      const late = findLateRuns(book.unfinished(), hosts.newest(), clock.now());
      for (const { run, cause, sinceMs } of late) {
        if (reported.has(runId(run))) continue;
        const since = new Date(sinceMs).toISOString();
        logger.warn({ ...run, cause, since }, 'samples of a run are overdue');
      }
      reported = new Set(late.map(({ run }) => runId(run)));
      lateRuns.set(late.length);
    },
  });
}
