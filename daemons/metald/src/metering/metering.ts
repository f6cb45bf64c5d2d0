/** One boot of one VM, as metering sees it. */
export interface MeteredRun {
  vmId: string;
  bootEpoch: number;
  tenantId: string;
  deploymentId: string;
  pid: number;
  startTimeTicks: number;
  vethName: string;
  vcpus: number;
  memoryBytes: bigint;
}

/**
 * Measures every run each tick into the journal, sends batches to billaged, and never forgets a
 * sample before it is acknowledged. Notices (started, stopped, gap) are journalled and sent the same way.
 */
export interface Metering {
  /** Starts the tick, the sender and the heartbeat. */
  start(): Promise<void>;
  /**
   * A run began at this instant. Journals the start notice and takes counters from zero. Called
   * again for the same run, it is runRecovered. A run of the same VM that was never said to have
   * stopped ends at its last sample.
   */
  runStarted(run: MeteredRun, atUnixMs: number): Promise<void>;
  /** Goes on with a run of an earlier life of metald; declares the stretch without samples as a gap. */
  runRecovered(run: MeteredRun): Promise<void>;
  /** Call before killing a VMM, so that its last counters are read: a final sample. */
  sampleNow(vmId: string): Promise<void>;
  /**
   * The run ended. Journals the stop notice and sends what is left of it soon. Also for a run that
   * ended while metald was down: what was not measured of it is declared as a gap.
   */
  runStopped(vmId: string, atUnixMs: number): Promise<void>;
  /** Runs not said to have stopped yet, of this life of metald or an earlier one: to be compared with the VMs there are. */
  openRuns(): readonly { vmId: string; bootEpoch: number }[];
  /** True while billaged does not answer. */
  readonly billingDegraded: boolean;
  /** Why usage is not safe on disk at the moment; undefined when it is. For readiness. */
  readonly journalProblem: string | undefined;
  /** Sends no more and closes the journal; what was not sent is sent by the next life. */
  stop(): Promise<void>;
}
