/**
 * One look at one microVM, as `ingot.billing.v1.Sample` carries it. Counters are cumulative since
 * the boot and never fall. Sequences start at 1.
 */
export interface Sample {
  sequence: bigint;
  /** Wall clock of the host, Unix milliseconds. */
  atUnixMs: bigint;
  /** How much of the VM's life this sample stands for. */
  coversMs: number;
  cpuNs: bigint;
  memoryBytes: bigint;
  residentBytes: bigint;
  diskReadBytes: bigint;
  diskWriteBytes: bigint;
  netRxBytes: bigint;
  netTxBytes: bigint;
}

/** The fields of a sample that only ever grow within a run. */
export const counters = [
  'cpuNs',
  'diskReadBytes',
  'diskWriteBytes',
  'netRxBytes',
  'netTxBytes',
] as const;

export type CounterValues = Record<(typeof counters)[number], bigint>;

/** A sample as it is kept: with what each counter grew by since the sample before it. */
export interface StoredSample extends Sample {
  used: CounterValues;
}

/**
 * Adds to each sample what was used since the one before it. The first sample of a run counts from
 * zero; after a hole the growth belongs to the first sample behind it. Each growth is thereby
 * attributed to exactly one instant, so that any split of a time range adds up to the whole.
 *
 * @param before - the last stored sample of the run.
 */
export function withGrowth(
  samples: readonly Sample[],
  before: CounterValues | undefined,
): StoredSample[] {
  let previous = before;
  return samples.map((sample) => {
    const base = previous;
    const grown = (name: (typeof counters)[number]): bigint => sample[name] - (base?.[name] ?? 0n);
    previous = sample;
    return {
      ...sample,
      used: {
        cpuNs: grown('cpuNs'),
        diskReadBytes: grown('diskReadBytes'),
        diskWriteBytes: grown('diskWriteBytes'),
        netRxBytes: grown('netRxBytes'),
        netTxBytes: grown('netTxBytes'),
      },
    };
  });
}
