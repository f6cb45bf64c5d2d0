import { IngotError } from '@ingot/daemon-kit';
import { type Gap, type RunRecord, storedThrough } from './run.ts';
import { type CounterValues, counters, type Sample } from './sample.ts';

/** A sample from further ahead of our clock than this is refused: one of the clocks is wrong. */
export const maxAheadMs = 5 * 60_000;

/**
 * How far a sample may lie before the newest thing known of its run (last stored sample, else its
 * start). It is not measured from now: after a day without billaged the host sends a day-old batch,
 * and it must be taken.
 */
export const maxBehindMs = 60 * 60_000;

/** Nothing older than this is taken any more: how long billaged may be away without loss. */
export const maxCatchUpMs = 31 * 24 * 60 * 60_000;

/**
 * Checks that samples may follow what is stored: counters that never fall, times that can be true.
 *
 * @param samples - at least one.
 * @param record - the run they belong to, before them.
 * @param nowMs - Unix milliseconds.
 * @throws IngotError invalid_argument naming the sample.
 */
export function checkSamples(
  samples: readonly Sample[],
  record: Pick<RunRecord, 'startedAtMs' | 'tail'>,
  nowMs: number,
): void {
  const latest = nowMs + maxAheadMs;
  const known = record.tail ? Number(record.tail.atUnixMs) : record.startedAtMs;
  const oldest = Math.max(nowMs - maxCatchUpMs, (known ?? 0) - maxBehindMs);
  let previous: CounterValues | undefined = record.tail;
  for (const sample of samples) {
    const at = Number(sample.atUnixMs);
    if (at > latest || at < oldest) {
      throw new IngotError(
        'invalid_argument',
        `sample ${sample.sequence} is of ${new Date(at).toISOString()}, outside of ` +
          `${new Date(oldest).toISOString()} to ${new Date(latest).toISOString()}`,
        { remedy: 'check the clocks of the host and of billaged' },
      );
    }
    const base = previous;
    const fallen = base && counters.find((name) => sample[name] < base[name]);
    if (fallen) {
      throw new IngotError(
        'invalid_argument',
        `${fallen} falls at sample ${sample.sequence}: counters are cumulative since the boot`,
      );
    }
    previous = sample;
  }
}

/**
 * Checks that something can have happened then: not after `maxAheadMs` from now, nor longer ago than
 * `maxCatchUpMs`.
 *
 * @throws IngotError invalid_argument
 */
export function checkInstant(atMs: number, nowMs: number): void {
  if (atMs <= nowMs + maxAheadMs && atMs >= nowMs - maxCatchUpMs) return;
  throw new IngotError('invalid_argument', `${atMs} is too far from now, which is ${nowMs}`, {
    remedy: 'check the clocks of the host and of billaged',
  });
}

/**
 * Checks that a batch is ascending without holes.
 *
 * @throws IngotError invalid_argument
 */
export function checkSequences(samples: readonly Sample[]): void {
  const first = samples[0]?.sequence ?? 0n;
  const wrong = samples.find((sample, index) => sample.sequence !== first + BigInt(index));
  if (wrong) {
    throw new IngotError(
      'invalid_argument',
      `sequence ${wrong.sequence} is out of order: a batch is ascending without holes`,
    );
  }
}

/**
 * Checks that a batch begins right after what is stored. A hole is taken only when the host has
 * declared it: a gap of the run that overlaps or touches the time between the two samples. Without
 * that, the sender still has what is missing and is asked for it.
 *
 * @param first - the first sample of the batch, behind everything stored.
 * @throws IngotError batch_out_of_order with the fact `storedThrough`.
 */
export function checkHole(first: Sample, record: RunRecord, gaps: readonly Gap[]): void {
  const stored = storedThrough(record);
  if (first.sequence === stored + 1n) return;
  const holeFromMs = Number(record.tail?.atUnixMs ?? record.startedAtMs ?? 0);
  const holeToMs = Number(first.atUnixMs);
  if (gaps.some((gap) => gap.fromMs <= holeToMs && gap.toMs >= holeFromMs)) return;
  throw new IngotError(
    'batch_out_of_order',
    `the batch begins at sample ${first.sequence}, but only ${stored} are stored`,
    {
      remedy: `send from sample ${stored + 1n}, or declare a gap with NotifyPossibleGap first`,
      facts: { storedThrough: String(stored) },
    },
  );
}
