import type { Counters } from '../../domain/sample.ts';

export type ProcessCounters = Omit<Counters, 'netRxBytes' | 'netTxBytes'>;

/** Traffic of one guest, as the guest sees it. */
export interface NetworkCounters {
  rxBytes: bigint;
  txBytes: bigint;
}

/** One process, kept open for reading. */
export interface ProcessProbe {
  /** Undefined once the process is gone. */
  read(): ProcessCounters | undefined;
  close(): void;
}

/** Where the numbers come from. */
export interface CounterSource {
  /** Undefined when that very process (not a later one of the same pid) is not there. */
  open(pid: number, startTimeTicks: number): ProcessProbe | undefined;
  /** By veth name. One look for all. */
  readNetwork(): ReadonlyMap<string, NetworkCounters>;
  close(): void;
}
