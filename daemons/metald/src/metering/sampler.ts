import type { Clock } from '@ingot/daemon-kit';
import { type FiledSample, lastSequence, type RunLog } from '../domain/journal-state.ts';
import { type Counters, neverFalling, noCounters, type Sample } from '../domain/sample.ts';
import type { CounterSource, NetworkCounters, ProcessProbe } from './counters/counter-source.ts';
import type { Journal } from './journal/journal.ts';
import { SteadyClock } from './steady-clock.ts';

interface SampledRun {
  log: RunLog;
  vethName: string;
  probe: ProcessProbe | undefined;
  /** Up to here, on the steady clock, the run's life is covered by samples and gaps. */
  coveredToMs: number;
}

/** Takes samples of the runs it is told of and appends them to the journal. */
export class Sampler {
  readonly #runs = new Map<string, SampledRun>();
  readonly #journal: Journal;
  readonly #counters: CounterSource;
  readonly #clock: SteadyClock;

  constructor(parts: { journal: Journal; counters: CounterSource; clock: Clock }) {
    this.#journal = parts.journal;
    this.#counters = parts.counters;
    this.#clock = new SteadyClock(parts.clock);
  }

  /**
   * Begins to sample a run.
   *
   * @param coversFromUnixMs - the next sample covers the time from this instant on: the run's start,
   *   or the end of the gap declared before it.
   */
  add(
    log: RunLog,
    process: { pid: number; startTimeTicks: number; vethName: string },
    coversFromUnixMs: number,
  ): void {
    this.remove(log.vmId);
    this.#runs.set(log.vmId, {
      log,
      vethName: process.vethName,
      probe: this.#counters.open(process.pid, process.startTimeTicks),
      coveredToMs: this.#clock.steadyAt(coversFromUnixMs),
    });
  }

  remove(vmId: string): void {
    this.#runs.get(vmId)?.probe?.close();
    this.#runs.delete(vmId);
  }

  has(vmId: string): boolean {
    return this.#runs.has(vmId);
  }

  /**
   * One look at every run, one record. A process that is gone is left to runStopped. While the
   * journal has no room nothing is taken: the next sample then covers more time, and no usage is lost.
   */
  sampleAll(): void {
    const now = this.#clock.read();
    if (this.#runs.size === 0 || this.#journal.overfull) {
      this.#journal.flush();
      return;
    }
    const network = this.#counters.readNetwork();
    const samples: FiledSample[] = [];
    for (const run of this.#runs.values()) {
      const counters = this.#read(run, network);
      if (counters) samples.push(sampleOf(run, counters, now));
    }
    if (samples.length > 0) this.#journal.append({ kind: 'samples', samples });
    else this.#journal.flush();
  }

  /** One more sample of one run, if its process is there. */
  sampleOne(vmId: string, atUnixMs: number): void {
    const run = this.#runs.get(vmId);
    const counters = run && this.#read(run, this.#counters.readNetwork());
    if (!run || !counters) return;
    const at = { unixMs: atUnixMs, steadyMs: this.#clock.steadyAt(atUnixMs) };
    this.#journal.append({ kind: 'samples', samples: [sampleOf(run, counters, at)] });
  }

  /**
   * The last sample of a run, covering it up to `atUnixMs`. Of a process that is gone already, it
   * repeats the counters known: what it used since then (at most a tick) cannot be read any more.
   */
  close(vmId: string, atUnixMs: number): void {
    const run = this.#runs.get(vmId);
    if (!run) return;
    const at = { unixMs: atUnixMs, steadyMs: this.#clock.steadyAt(atUnixMs) };
    if (at.steadyMs > run.coveredToMs) {
      const network = this.#counters.readNetwork();
      const known = run.log.last ?? noCounters;
      const counters = this.#read(run, network) ?? { ...known, ...networkOf(run, network) };
      this.#journal.append({ kind: 'samples', samples: [sampleOf(run, counters, at)] });
    }
    this.remove(vmId);
  }

  /** What the network counters of a veth show now. */
  networkBase(vethName: string): NetworkCounters {
    return this.#counters.readNetwork().get(vethName) ?? { rxBytes: 0n, txBytes: 0n };
  }

  stop(): void {
    for (const vmId of this.#runs.keys()) this.remove(vmId);
    this.#counters.close();
  }

  #read(run: SampledRun, network: ReadonlyMap<string, NetworkCounters>): Counters | undefined {
    const process = run.probe?.read();
    return process && { ...noCounters, ...run.log.last, ...process, ...networkOf(run, network) };
  }
}

function sampleOf(
  run: SampledRun,
  counters: Counters,
  at: { unixMs: number; steadyMs: number },
): FiledSample {
  const { log } = run;
  const { cpuNs, residentBytes, diskReadBytes, diskWriteBytes, netRxBytes, netTxBytes } =
    neverFalling(log.last ?? noCounters, counters);
  const coversMs = Math.max(0, at.steadyMs - run.coveredToMs);
  // Never back: a millisecond is covered once.
  run.coveredToMs += coversMs;
  const sample: Sample = {
    sequence: lastSequence(log) + 1n,
    atUnixMs: BigInt(at.unixMs),
    coversMs,
    memoryBytes: log.memoryBytes,
    cpuNs,
    residentBytes,
    diskReadBytes,
    diskWriteBytes,
    netRxBytes,
    netTxBytes,
  };
  return { ref: log.ref, sample };
}

/** Nothing when the veth is gone: the counters stay as they are known. */
function networkOf(
  run: SampledRun,
  network: ReadonlyMap<string, NetworkCounters>,
): Partial<Counters> {
  const now = network.get(run.vethName);
  if (!now) return {};
  const { rxBytes, txBytes } = run.log.netBase;
  return { netRxBytes: above(now.rxBytes, rxBytes), netTxBytes: above(now.txBytes, txBytes) };
}

function above(value: bigint, base: bigint): bigint {
  return value > base ? value - base : 0n;
}
