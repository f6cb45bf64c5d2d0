import { IngotError } from '@ingot/daemon-kit';
import { checkInstant } from '../domain/acceptance.ts';
import type { Gap, Run, RunEnd } from '../domain/run.ts';
import type { RunStart, UsageStore } from '../usage-store/usage-store.ts';
import type { RunBook } from './run-book.ts';

interface Books {
  store: UsageStore;
  book: RunBook;
  /** Unix milliseconds. */
  nowMs: number;
}

/** Notes that a run began. The first notice counts; the same again changes nothing. */
export async function recordStarted(
  run: Run,
  start: RunStart,
  { store, book, nowMs }: Books,
): Promise<void> {
  checkInstant(start.atMs, nowMs);
  await book.change(run, async (record) => {
    if (record.startedAtMs !== undefined) return record;
    await store.setStarted(record.run, start);
    return { ...record, startedAtMs: start.atMs };
  });
}

/**
 * Notes that a run ended. The first notice counts, but for a higher last sequence, of which nothing
 * may be missing.
 */
export async function recordStopped(
  run: Run,
  end: RunEnd,
  { store, book, nowMs }: Books,
): Promise<void> {
  checkInstant(end.atMs, nowMs);
  await book.change(run, async (record) => {
    const known = record.stopped;
    if (known && known.lastSequence >= end.lastSequence) return record;
    const stopped = { atMs: known?.atMs ?? end.atMs, lastSequence: end.lastSequence };
    await store.setStopped(record.run, stopped);
    return { ...record, stopped };
  });
}

/** Notes a stretch without measurement, once. @throws IngotError invalid_argument when it ends before it begins. */
export async function recordGap(run: Run, gap: Gap, { store, book, nowMs }: Books): Promise<void> {
  if (gap.fromMs > gap.toMs) {
    throw new IngotError('invalid_argument', 'the gap ends before it begins');
  }
  checkInstant(gap.toMs, nowMs);
  await book.change(run, async (record) => {
    const known = await store.listRunGaps(record.run);
    const repeated = known.some(
      ({ fromMs, toMs, cause }) =>
        fromMs === gap.fromMs && toMs === gap.toMs && cause === gap.cause,
    );
    if (!repeated) await store.addGap(record.run, gap);
    return record;
  });
}
