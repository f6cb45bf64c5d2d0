import type { MeteredRun, Metering } from '../metering/metering.ts';

export interface RecordedRun {
  vmId: string;
  bootEpoch: number;
  pid: number;
  startedAtMs: number;
  stoppedAtMs: number | undefined;
}

/** Metering that remembers what it was told, over the lives of metald as the journal does. */
export class MeteringFake implements Metering {
  readonly runs: RecordedRun[] = [];
  /** VMs measured in this life. */
  readonly measured = new Set<string>();
  finalSamples: string[] = [];
  billingDegraded = false;
  journalProblem: string | undefined;
  failNext: Error | undefined;

  async start(): Promise<void> {}

  async runStarted(run: MeteredRun, atUnixMs: number): Promise<void> {
    const failure = this.failNext;
    this.failNext = undefined;
    if (failure) throw failure;
    this.measured.add(run.vmId);
    if (this.#open(run.vmId)?.bootEpoch === run.bootEpoch) return;
    this.runs.push({ ...run, startedAtMs: atUnixMs, stoppedAtMs: undefined });
  }

  async runRecovered(run: MeteredRun): Promise<void> {
    if (!this.#open(run.vmId)) throw new Error('recovered a run that was never started');
    this.measured.add(run.vmId);
  }

  async sampleNow(vmId: string): Promise<void> {
    this.finalSamples.push(vmId);
  }

  async runStopped(vmId: string, atUnixMs: number): Promise<void> {
    this.measured.delete(vmId);
    const run = this.#open(vmId);
    if (run) run.stoppedAtMs = atUnixMs;
  }

  openRuns(): readonly RecordedRun[] {
    return this.runs.filter(({ stoppedAtMs }) => stoppedAtMs === undefined);
  }

  async stop(): Promise<void> {
    this.measured.clear();
  }

  #open(vmId: string): RecordedRun | undefined {
    return this.runs.find((run) => run.vmId === vmId && run.stoppedAtMs === undefined);
  }
}
