import { type Heartbeat, type Run, runId, type RunRecord, storedThrough } from './run.ts';

/** A run whose samples do not come for longer than this is late. Batches are due every 60 s. */
export const lateAfterMs = 2 * 60_000;

export interface Lateness {
  run: Run;
  /** "not_sent": the host has samples that did not come. "host_silent": no heartbeat either. */
  cause: 'not_sent' | 'host_silent';
  /** The newest thing known of the run, Unix milliseconds. */
  sinceMs: number;
}

/**
 * The runs whose samples are overdue: their host says it has newer samples, more than `lateAfterMs`
 * newer than the last one here; or the host itself has been silent for so long.
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
    const pending = (newest.get(runId(run)) ?? 0n) > storedThrough(record);
    if (!heartbeat || !pending || heartbeat.atMs - sinceMs <= lateAfterMs) return [];
    return [{ run, cause: 'not_sent', sinceMs }];
  });
}
