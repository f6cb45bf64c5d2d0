/** What was used in a stretch of time, in the smallest units. Sums of it are exact. */
export interface Usage {
  cpuNs: bigint;
  /** Σ memory reserved × time covered, in byte milliseconds. */
  memoryByteMs: bigint;
  /** Σ time covered. */
  vmMs: bigint;
  diskReadBytes: bigint;
  diskWriteBytes: bigint;
  netRxBytes: bigint;
  netTxBytes: bigint;
  /** How many samples it was added up from. */
  samples: bigint;
}

export const noUsage: Readonly<Usage> = {
  cpuNs: 0n,
  memoryByteMs: 0n,
  vmMs: 0n,
  diskReadBytes: 0n,
  diskWriteBytes: 0n,
  netRxBytes: 0n,
  netTxBytes: 0n,
  samples: 0n,
};

export function addUsage(a: Readonly<Usage>, b: Readonly<Usage>): Usage {
  return {
    cpuNs: a.cpuNs + b.cpuNs,
    memoryByteMs: a.memoryByteMs + b.memoryByteMs,
    vmMs: a.vmMs + b.vmMs,
    diskReadBytes: a.diskReadBytes + b.diskReadBytes,
    diskWriteBytes: a.diskWriteBytes + b.diskWriteBytes,
    netRxBytes: a.netRxBytes + b.netRxBytes,
    netTxBytes: a.netTxBytes + b.netTxBytes,
    samples: a.samples + b.samples,
  };
}

/** Half-open [fromMs, toMs) over the samples' own time, Unix milliseconds. */
export interface TimeRange {
  fromMs: number;
  toMs: number;
}
