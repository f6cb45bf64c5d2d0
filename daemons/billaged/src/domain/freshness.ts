import { maxCatchUpMs } from './acceptance.ts';
import { type Heartbeat, runId, type RunRecord, stateOf, storedThrough } from './run.ts';

/**
 * The instant such that everything sampled before it is stored, Unix milliseconds; undefined when
 * that cannot be said of any instant. It is the least of
 *
 * - for each run asked about that is not COMPLETE: the time of its last stored sample, or its
 *   start; or, when its host's newest heartbeat names no sample that is not stored, that
 *   heartbeat's time;
 * - for each host that ever sent a heartbeat: the newest one whose runs were all known here, because
 *   a run nobody has told us of might be the caller's. (A host lists a run in its heartbeats until
 *   everything about it has been acknowledged.)
 *
 * What is older than `maxCatchUpMs` would be refused if it came, so a host or run silent for that
 * long holds nothing back.
 *
 * @param runs - the runs asked about that are not COMPLETE.
 * @param heartbeats - the newest one of each host.
 */
export function freshThrough(
  runs: readonly RunRecord[],
  heartbeats: readonly Heartbeat[],
  nowMs: number,
): number | undefined {
  const oldest = nowMs - maxCatchUpMs;
  const bounds = heartbeats
    .filter((heartbeat) => heartbeat.atMs >= oldest)
    .map((heartbeat) => heartbeat.allKnownAtMs);
  for (const record of runs) {
    if (stateOf(record) === 'COMPLETE') continue;
    const bound = runFreshThrough(record, heartbeats);
    if (bound === undefined || bound >= oldest) bounds.push(bound);
  }
  if (bounds.length === 0) return undefined;
  return bounds.reduce((least, bound) =>
    least === undefined || bound === undefined ? undefined : Math.min(least, bound),
  );
}

function runFreshThrough(record: RunRecord, heartbeats: readonly Heartbeat[]): number | undefined {
  const storedMs = record.tail ? Number(record.tail.atUnixMs) : record.startedAtMs;
  const heartbeat = heartbeats.find((one) => one.hostId === record.run.hostId);
  const id = runId(record.run);
  const progress = heartbeat?.runs.find(
    (run) => runId({ ...run, hostId: record.run.hostId }) === id,
  );
  if (!heartbeat || !progress || progress.lastSequence > storedThrough(record)) return storedMs;
  return Math.max(storedMs ?? 0, heartbeat.atMs);
}
