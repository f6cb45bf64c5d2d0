import { type Heartbeat, type Run, runId, type RunRecord, storedThrough } from './run.ts';

/** A run whose samples do not come for longer than this is late. Batches are due every 60 s. */
export const lateAfterMs = 2 * 60_000;

export interface Lateness {
  run: Run;
  /**
   * "not_sent": the host has samples that did not come. "host_silent": no heartbeat either.
   * "not_listed": the host's heartbeat no longer knows a run whose end was never told.
   */
  cause: 'not_sent' | 'host_silent' | 'not_listed';
  /** The newest thing known of the run, Unix milliseconds. */
  sinceMs: number;
}

/**
 * The runs whose samples are overdue: their host says it has newer samples, more than `lateAfterMs`
 * newer than the last one here; or their host no longer lists them, or has itself been silent for so
 * long.
 *
 * @param runs - those that are not COMPLETE.
 * @param heartbeats - the newest one of each host.
 */
export function findLateRuns(
  runs: readonly RunRecord[],
  heartbeats: readonly Heartbeat[],
  nowMs: number,
): Lateness[] {
  const hosts = new Map(heartbeats.map((heartbeat) => [heartbeat.hostId, heartbeat]));
  const newest = new Map(
    heartbeats.flatMap(({ hostId, runs: progress }) =>
      progress.map((one) => [runId({ ...one, hostId }), one.lastSequence]),
    ),
  );
  return runs.flatMap((record): Lateness[] => {
    const { run } = record;
    const heartbeat = hosts.get(run.hostId);
    const sinceMs = record.tail ? Number(record.tail.atUnixMs) : (record.startedAtMs ?? 0);
    if (nowMs - Math.max(heartbeat?.atMs ?? 0, sinceMs) > lateAfterMs) {
      return [{ run, cause: 'host_silent', sinceMs }];
    }
    if (!heartbeat || heartbeat.atMs - sinceMs <= lateAfterMs) return [];
    const lastSequence = newest.get(runId(run));
    if (lastSequence === undefined) return [{ run, cause: 'not_listed', sinceMs }];
    return lastSequence > storedThrough(record) ? [{ run, cause: 'not_sent', sinceMs }] : [];
  });
}
