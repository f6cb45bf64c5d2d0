import type { Clock } from '@ingot/daemon-kit';
import { type FiledSample, lastSequence, type RunLog } from '../domain/journal-state.ts';
import { type Counters, neverFalling, noCounters, type Sample } from '../domain/sample.ts';
import type { CounterSource, NetworkCounters, ProcessProbe } from './counters/counter-source.ts';
import type { Journal } from './journal/journal.ts';

interface SampledRun {
  log: RunLog;
  vethName: string;
  probe: ProcessProbe | undefined;
  /** Monotonic clock at the last sample, whole milliseconds; undefined after a gap. */
  lastMonotonicMs: number | undefined;
}

/** Takes samples of the runs it is told of and appends them to the journal. */
export class Sampler {
  readonly #runs = new Map<string, SampledRun>();
  readonly #parts: { journal: Journal; counters: CounterSource; clock: Clock };

  constructor(parts: { journal: Journal; counters: CounterSource; clock: Clock }) {
    this.#parts = parts;
  }

  /**
   * Begins to sample a run.
   *
   * @param coversFromUnixMs - the next sample covers the time from this instant on; undefined when
   *   what was before it is a declared gap.
   */
  add(
    log: RunLog,
    process: { pid: number; startTimeTicks: number; vethName: string },
    coversFromUnixMs: number | undefined,
  ): void {
    this.remove(log.vmId);
    this.#runs.set(log.vmId, {
      log,
      vethName: process.vethName,
      probe: this.#parts.counters.open(process.pid, process.startTimeTicks),
      lastMonotonicMs:
        coversFromUnixMs === undefined ? undefined : this.#monotonicAt(coversFromUnixMs),
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
    const { journal } = this.#parts;
    if (journal.overfull) {
      journal.flush();
      return;
    }
    const network = this.#runs.size > 0 ? this.#parts.counters.readNetwork() : undefined;
    const samples: FiledSample[] = [];
    const atUnixMs = this.#parts.clock.now();
    for (const run of this.#runs.values()) {
      const counters = network && this.#read(run, network);
      if (counters) samples.push(this.#sample(run, counters, atUnixMs));
    }
    if (samples.length > 0) journal.append({ kind: 'samples', samples });
    else journal.flush();
  }

  /** One more sample of one run, if its process is there. */
  sampleOne(vmId: string): void {
    const run = this.#runs.get(vmId);
    const counters = run && this.#read(run, this.#parts.counters.readNetwork());
    if (!run || !counters) return;
    const sample = this.#sample(run, counters, this.#parts.clock.now());
    this.#parts.journal.append({ kind: 'samples', samples: [sample] });
  }

  /**
   * The last sample of a run, covering it up to `atUnixMs`. Of a process that is gone already, it
   * repeats the counters known: what it used since then (at most a tick) cannot be read any more.
   */
  close(vmId: string, atUnixMs: number): void {
    const run = this.#runs.get(vmId);
    if (!run) return;
    const end = this.#monotonicAt(atUnixMs);
    if (run.lastMonotonicMs !== undefined && end > run.lastMonotonicMs) {
      const network = this.#parts.counters.readNetwork();
      const known = run.log.last ?? noCounters;
      const counters = this.#read(run, network) ?? { ...known, ...networkOf(run, network) };
      const sample = this.#sample(run, counters, atUnixMs, end);
      this.#parts.journal.append({ kind: 'samples', samples: [sample] });
    }
    this.remove(vmId);
  }

  /** By veth name: what the counters show now. */
  networkBase(vethName: string): NetworkCounters {
    return this.#parts.counters.readNetwork().get(vethName) ?? { rxBytes: 0n, txBytes: 0n };
  }

  stop(): void {
    for (const vmId of this.#runs.keys()) this.remove(vmId);
    this.#parts.counters.close();
  }

  #read(run: SampledRun, network: ReadonlyMap<string, NetworkCounters>): Counters | undefined {
    const process = run.probe?.read();
    return process && { ...noCounters, ...run.log.last, ...process, ...networkOf(run, network) };
  }

  #sample(
    run: SampledRun,
    counters: Counters,
    atUnixMs: number,
    monotonicMs = Math.floor(this.#parts.clock.monotonicMs()),
  ): FiledSample {
    const { log, lastMonotonicMs } = run;
    const { cpuNs, residentBytes, diskReadBytes, diskWriteBytes, netRxBytes, netTxBytes } =
      neverFalling(log.last ?? noCounters, counters);
    const sample: Sample = {
      sequence: lastSequence(log) + 1n,
      atUnixMs: BigInt(atUnixMs),
      coversMs: lastMonotonicMs === undefined ? 0 : Math.max(0, monotonicMs - lastMonotonicMs),
      memoryBytes: log.memoryBytes,
      cpuNs,
      residentBytes,
      diskReadBytes,
      diskWriteBytes,
      netRxBytes,
      netTxBytes,
    };
    // Differences of whole values: what is cut off one sample is in the next.
    run.lastMonotonicMs = Math.max(monotonicMs, lastMonotonicMs ?? monotonicMs);
    return { ref: log.ref, sample };
  }

  #monotonicAt(unixMs: number): number {
    const { clock } = this.#parts;
    return Math.floor(clock.monotonicMs() - Math.max(0, clock.now() - unixMs));
  }
}

/** Nothing when the veth is gone: the counters stay as they are known. */
function networkOf(
  run: SampledRun,
  network: ReadonlyMap<string, NetworkCounters>,
): Partial<Counters> {
  const now = network.get(run.vethName);
  if (!now) return {};
  const { rxBytes, txBytes } = run.log.netBase;
  return { netRxBytes: below(now.rxBytes, rxBytes), netTxBytes: below(now.txBytes, txBytes) };
}

function below(value: bigint, base: bigint): bigint {
  return value > base ? value - base : 0n;
}
