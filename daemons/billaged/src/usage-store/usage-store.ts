import type { Gap, Heartbeat, Run, RunEnd, RunKey, RunRecord } from '../domain/run.ts';
import type { Sample, StoredSample } from '../domain/sample.ts';
import type { TimeRange, Usage } from '../domain/usage.ts';

/**
 * Where usage is kept: all that a bill needs, in one place. Every write is durable when its promise
 * resolves, and is in all or not at all, whatever dies in between. A write that rejects may yet
 * have happened: read before trying again.
 *
 * The store does not judge. Callers serialise the writes of one run and never write a sequence
 * twice; that is what makes a sample be there exactly once.
 *
 * Every method rejects with IngotError unavailable when the store cannot be reached just now.
 */
export interface UsageStore {
  /** Notes that a run exists and whose it is. Before anything else is written about it. */
  addRun(run: Run): Promise<void>;
  setStarted(run: Run, start: RunStart): Promise<void>;
  /** May be repeated with a higher last sequence, which then counts. */
  setStopped(run: Run, end: RunEnd): Promise<void>;
  /** Notes that the run is COMPLETE up to this sequence, so that a restart need not look at it. */
  setComplete(run: Run, lastSequence: bigint): Promise<void>;
  /** Undefined for a run that was never added. */
  findRun(run: RunKey): Promise<RunRecord | undefined>;
  /** Every run that is not marked complete up to its last sequence. */
  listUnfinishedRuns(): Promise<RunRecord[]>;

  /** Samples behind everything stored of the run, ascending. */
  addSamples(run: Run, samples: readonly StoredSample[]): Promise<void>;
  /** Stored samples of a run with `first` ≤ sequence ≤ `last`, ascending. */
  readSamples(run: Run, first: bigint, last: bigint): Promise<Sample[]>;

  addGap(run: Run, gap: Gap): Promise<void>;
  listRunGaps(run: Run): Promise<Gap[]>;

  /** Keeps the newest heartbeat of each host. */
  putHeartbeat(heartbeat: Heartbeat): Promise<void>;
  listHeartbeats(): Promise<Heartbeat[]>;

  /** Usage per deployment with any sample in the range, by deployment id. */
  sumUsage(query: UsageQuery): Promise<DeploymentUsage[]>;
  /** Declared gaps that touch the range, by start. */
  listGaps(query: UsageQuery): Promise<RunGap[]>;

  close(): Promise<void>;
}

export interface RunStart {
  atMs: number;
  vcpus: number;
  memoryBytes: bigint;
}

export interface UsageQuery extends TimeRange {
  tenantId: string;
  /** All of the tenant's when undefined. */
  deploymentId: string | undefined;
}

export interface DeploymentUsage {
  deploymentId: string;
  usage: Usage;
}

export interface RunGap extends Gap {
  vmId: string;
  bootEpoch: number;
}
