import { hashSamples } from '@ingot/contracts';
import { type Clock, IngotError } from '@ingot/daemon-kit';
import { checkHole, checkSamples, checkSequences } from '../domain/acceptance.ts';
import { type Run, type RunRecord, storedThrough } from '../domain/run.ts';
import { type Sample, withGrowth } from '../domain/sample.ts';
import type { UsageStore } from '../usage-store/usage-store.ts';
import type { RunBook } from './run-book.ts';

export interface Batch {
  run: Run;
  /** At least one. */
  samples: readonly Sample[];
  /** As hashSamples of @ingot/contracts makes it. */
  contentSha256: string;
}

export interface BatchOutcome {
  /** The highest sequence stored for the run. */
  storedThrough: bigint;
  /** How many of the batch's samples were new. */
  added: number;
}

/**
 * Stores a batch exactly once: what is stored already is compared, what is behind it is written, in
 * one insert. Nothing is claimed before it is written, so a batch whose answer was lost, or which
 * died half-way, is simply sent again.
 *
 * @throws IngotError invalid_argument for a batch that cannot be true, batch_conflict when samples of
 *   these sequences are stored with other content, batch_out_of_order when samples in between are
 *   missing, unavailable when the store is.
 */
export async function storeBatch(
  { run, samples, contentSha256 }: Batch,
  { store, book, clock }: { store: UsageStore; book: RunBook; clock: Clock },
): Promise<BatchOutcome> {
  if (hashSamples(samples) !== contentSha256) {
    throw new IngotError('invalid_argument', 'the batch does not match its content_sha256');
  }
  checkSequences(samples);

  let added = 0;
  const after = await book.change(run, async (record) => {
    const stored = storedThrough(record);
    const overlap = samples.filter(({ sequence }) => sequence <= stored);
    const fresh = samples.filter(({ sequence }) => sequence > stored);
    await checkOverlap(overlap, record, store);
    const [first] = fresh;
    if (!first) return record;

    checkSamples(fresh, record, clock.now());
    if (first.sequence !== stored + 1n) {
      checkHole(first, record, await store.listRunGaps(record.run));
    }
    await store.addSamples(record.run, withGrowth(fresh, record.tail));
    added = fresh.length;
    return { ...record, tail: fresh.at(-1) };
  });
  return { storedThrough: storedThrough(after), added };
}

async function checkOverlap(
  overlap: readonly Sample[],
  record: RunRecord,
  store: UsageStore,
): Promise<void> {
  const first = overlap[0];
  const last = overlap.at(-1);
  if (!first || !last) return;
  const known = await store.readSamples(record.run, first.sequence, last.sequence);
  if (hashSamples(known) === hashSamples(overlap)) return;
  throw new IngotError(
    'batch_conflict',
    `samples ${first.sequence} to ${last.sequence} of this run are stored with other content`,
    { facts: { storedThrough: String(storedThrough(record)) } },
  );
}
