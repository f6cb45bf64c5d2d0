import type { Sample } from './sample.ts';

/** Names one boot of one VM. Counters and sequence numbers belong to it. */
export interface RunKey {
  hostId: string;
  /** Lower-case UUID. */
  vmId: string;
  bootEpoch: number;
}

/** Who pays for a run. Fixed by the first message about it. */
export interface RunOwner {
  tenantId: string;
  deploymentId: string;
}

export interface Run extends RunKey, RunOwner {}

/** Everything known about a run besides its samples. */
export interface RunRecord {
  run: Run;
  startedAtMs: number | undefined;
  stopped: RunEnd | undefined;
  /** The stored sample of highest sequence. */
  tail: Sample | undefined;
}

export interface RunEnd {
  atMs: number;
  /** The last sample taken; 0 when none was. */
  lastSequence: bigint;
}

/**
 * OPEN: samples are to come. STOPPED: the VM is gone, its last samples are still at the host.
 * COMPLETE: all of them are here.
 */
export type RunState = 'OPEN' | 'STOPPED' | 'COMPLETE';

export function stateOf(record: Pick<RunRecord, 'stopped' | 'tail'>): RunState {
  if (!record.stopped) return 'OPEN';
  return storedThrough(record) >= record.stopped.lastSequence ? 'COMPLETE' : 'STOPPED';
}

/** The highest stored sequence; 0 when there is none. */
export function storedThrough(record: Pick<RunRecord, 'tail'>): bigint {
  return record.tail?.sequence ?? 0n;
}

/** One text per run, for maps. Host ids may hold any character, so they come last. */
export function runId(key: RunKey): string {
  return `${key.vmId}/${key.bootEpoch}/${key.hostId}`;
}

/** A stretch of a run's life that its host declared unmeasured. Unix milliseconds. */
export interface Gap {
  fromMs: number;
  toMs: number;
  /** Such as "metald_down". */
  cause: string;
}

/** What a host says of itself every 30 s. */
export interface Heartbeat {
  hostId: string;
  atMs: number;
  /**
   * The newest heartbeat of the host, this one included, whose runs were all known here: whatever
   * the host sampled before that instant belongs to a run in the books. Undefined while none was.
   */
  allKnownAtMs: number | undefined;
  runs: readonly RunProgress[];
}

export interface RunProgress {
  vmId: string;
  bootEpoch: number;
  /** The newest sample taken. */
  lastSequence: bigint;
}
