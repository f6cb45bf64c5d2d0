import type { Sample } from './sample.ts';

/** A stretch of a run's life without samples, to be declared. Unix milliseconds. */
export interface Gap {
  /** Unique within the run. */
  id: number;
  fromUnixMs: number;
  toUnixMs: number;
  cause: 'metald_down' | 'journal_damaged';
}

/** All the journal knows of one run, apart from its samples. */
export interface RunLog {
  /** The journal's own short name for the run; never used twice. */
  ref: number;
  vmId: string;
  bootEpoch: number;
  tenantId: string;
  deploymentId: string;
  vcpus: number;
  memoryBytes: bigint;
  startedAtUnixMs: number;
  /** What the network counters showed at the start: the guest's own begin there. */
  netBase: { rxBytes: bigint; txBytes: bigint };
  /** The newest sample. */
  last: Sample | undefined;
  /** Sequences start after this: 0 unless the journal of an earlier part of the run was lost. */
  firstAfter: bigint;
  startAcknowledged: boolean;
  acknowledgedThrough: bigint;
  /** Time of the last acknowledged sample, else of the start. */
  acknowledgedAtUnixMs: number;
  /** The last sequence billaged really has: lower than acknowledgedThrough where samples were lost. */
  deliveredThrough: bigint;
  /** Not acknowledged yet. */
  gaps: readonly Gap[];
  nextGapId: number;
  stoppedAtUnixMs: number | undefined;
}

/** What a run's samples are filed under. */
export interface FiledSample {
  ref: number;
  sample: Sample;
}

export type JournalRecord =
  /** A new run, or, at the head of a segment, all that is known of one by then. */
  | { kind: 'run'; run: RunLog }
  | { kind: 'samples'; samples: readonly FiledSample[] }
  | { kind: 'gap'; ref: number; gap: Omit<Gap, 'id'> }
  | { kind: 'stopped'; ref: number; atUnixMs: number }
  | { kind: 'start_acknowledged'; ref: number }
  | { kind: 'gap_acknowledged'; ref: number; id: number }
  /** Sets how far billaged has the run; may go back when billaged says so. */
  | {
      kind: 'samples_acknowledged';
      ref: number;
      through: bigint;
      atUnixMs: number;
      /** False for samples that were lost here and only passed over. */
      delivered: boolean;
    }
  /** Everything of the run is acknowledged: it is forgotten. */
  | { kind: 'finished'; ref: number };

/** Every run that is not finished, by ref. */
export type JournalState = Map<number, RunLog>;

/** Brings the state up to date with one more record: the same for a live record and a replayed one. */
export function applyRecord(state: JournalState, record: JournalRecord): void {
  switch (record.kind) {
    case 'run':
      state.set(record.run.ref, record.run);
      return;
    case 'samples':
      for (const { ref, sample } of record.samples) update(state, ref, () => ({ last: sample }));
      return;
    case 'gap':
      update(state, record.ref, (run) => ({
        gaps: [...run.gaps, { ...record.gap, id: run.nextGapId }],
        nextGapId: run.nextGapId + 1,
      }));
      return;
    case 'stopped':
      update(state, record.ref, () => ({ stoppedAtUnixMs: record.atUnixMs }));
      return;
    case 'start_acknowledged':
      update(state, record.ref, () => ({ startAcknowledged: true }));
      return;
    case 'gap_acknowledged':
      update(state, record.ref, (run) => ({ gaps: run.gaps.filter(({ id }) => id !== record.id) }));
      return;
    case 'samples_acknowledged':
      update(state, record.ref, () => ({
        acknowledgedThrough: record.through,
        acknowledgedAtUnixMs: record.atUnixMs,
        ...(record.delivered ? { deliveredThrough: record.through } : {}),
      }));
      return;
    case 'finished':
      state.delete(record.ref);
  }
}

function update(state: JournalState, ref: number, change: (run: RunLog) => Partial<RunLog>): void {
  const run = state.get(ref);
  // A damaged segment may have held the run's beginning; the next segment's head repeats it.
  if (run) Object.assign(run, change(run));
}

/** The newest sequence taken; what it was before the first when none was. */
export function lastSequence(run: RunLog): bigint {
  return run.last?.sequence ?? run.firstAfter;
}

export function hasUnsentSamples(run: RunLog): boolean {
  return run.acknowledgedThrough < lastSequence(run);
}
