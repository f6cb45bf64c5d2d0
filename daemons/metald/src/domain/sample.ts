/** What is read of a running VM. Everything but memory is cumulative since the boot. */
export interface Counters {
  cpuNs: bigint;
  residentBytes: bigint;
  diskReadBytes: bigint;
  diskWriteBytes: bigint;
  /** As the guest sees it. */
  netRxBytes: bigint;
  netTxBytes: bigint;
}

/** One look at one VM: billing.v1.Sample as a plain object. */
export interface Sample extends Counters {
  /** 1 for the first of a boot. */
  sequence: bigint;
  atUnixMs: bigint;
  /** Since the sample before, on the monotonic clock; 0 after a gap. */
  coversMs: number;
  /** Reserved for the guest: what is billed. */
  memoryBytes: bigint;
}

export const noCounters: Counters = {
  cpuNs: 0n,
  residentBytes: 0n,
  diskReadBytes: 0n,
  diskWriteBytes: 0n,
  netRxBytes: 0n,
  netTxBytes: 0n,
};

const cumulative = [
  'cpuNs',
  'diskReadBytes',
  'diskWriteBytes',
  'netRxBytes',
  'netTxBytes',
] as const;

/** `now`, with no cumulative counter below what it was: the kernel may round one down, a bill may not. */
export function neverFalling(before: Counters, now: Counters): Counters {
  const result = { ...now };
  for (const name of cumulative) if (result[name] < before[name]) result[name] = before[name];
  return result;
}
