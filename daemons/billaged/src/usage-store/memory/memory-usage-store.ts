import type { Gap, Heartbeat, Run, RunEnd, RunKey, RunRecord } from '../../domain/run.ts';
import { runId } from '../../domain/run.ts';
import type { Sample, StoredSample } from '../../domain/sample.ts';
import { addUsage, noUsage } from '../../domain/usage.ts';
import type { DeploymentUsage, RunGap, RunStart, UsageQuery, UsageStore } from '../usage-store.ts';

interface MemoryRun {
  run: Run;
  startedAtMs: number | undefined;
  stopped: RunEnd | undefined;
  completeThrough: bigint | undefined;
  samples: StoredSample[];
  gaps: Gap[];
}

type Write = Exclude<keyof UsageStore, `${'find' | 'list' | 'read' | 'sum'}${string}` | 'close'>;

/**
 * The store in memory, for tests. It forgets everything with the process. Failures are scripted
 * with `failNext`.
 */
export class MemoryUsageStore implements UsageStore {
  readonly #runs = new Map<string, MemoryRun>();
  readonly #heartbeats = new Map<string, Heartbeat>();
  readonly #failures: { write: Write; when: 'before' | 'after'; error: Error }[] = [];

  /** Makes the next such write reject, without or (as when the answer is lost) with its effect. */
  failNext(write: Write, when: 'before' | 'after', error: Error): void {
    this.#failures.push({ write, when, error });
  }

  addRun(run: Run): Promise<void> {
    return this.#write('addRun', () => {
      const known = this.#runs.get(runId(run));
      if (known) return;
      this.#runs.set(runId(run), {
        run,
        startedAtMs: undefined,
        stopped: undefined,
        completeThrough: undefined,
        samples: [],
        gaps: [],
      });
    });
  }

  setStarted(run: Run, start: RunStart): Promise<void> {
    return this.#write('setStarted', () => {
      const known = this.#get(run);
      known.startedAtMs = Math.min(known.startedAtMs ?? start.atMs, start.atMs);
    });
  }

  setStopped(run: Run, end: RunEnd): Promise<void> {
    return this.#write('setStopped', () => {
      const known = this.#get(run);
      const before = known.stopped ?? end;
      known.stopped = {
        atMs: Math.min(before.atMs, end.atMs),
        lastSequence:
          before.lastSequence > end.lastSequence ? before.lastSequence : end.lastSequence,
      };
    });
  }

  setComplete(run: Run, lastSequence: bigint): Promise<void> {
    return this.#write('setComplete', () => {
      this.#get(run).completeThrough = lastSequence;
    });
  }

  async findRun(run: RunKey): Promise<RunRecord | undefined> {
    const known = this.#runs.get(runId(run));
    return known && recordOf(known);
  }

  async listUnfinishedRuns(): Promise<RunRecord[]> {
    return [...this.#runs.values()]
      .filter(
        ({ stopped, completeThrough }) =>
          !stopped || completeThrough === undefined || completeThrough < stopped.lastSequence,
      )
      .map(recordOf);
  }

  addSamples(run: Run, samples: readonly StoredSample[]): Promise<void> {
    return this.#write('addSamples', () => {
      this.#get(run).samples.push(...samples);
    });
  }

  async readSamples(run: Run, first: bigint, last: bigint): Promise<Sample[]> {
    return this.#get(run)
      .samples.filter(({ sequence }) => sequence >= first && sequence <= last)
      .map(withoutGrowth);
  }

  addGap(run: Run, gap: Gap): Promise<void> {
    return this.#write('addGap', () => {
      this.#get(run).gaps.push(gap);
    });
  }

  async listRunGaps(run: Run): Promise<Gap[]> {
    return (this.#runs.get(runId(run))?.gaps ?? []).toSorted(byStart);
  }

  putHeartbeat(heartbeat: Heartbeat): Promise<void> {
    return this.#write('putHeartbeat', () => {
      const before = this.#heartbeats.get(heartbeat.hostId);
      if (!before || before.atMs <= heartbeat.atMs) {
        this.#heartbeats.set(heartbeat.hostId, heartbeat);
      }
    });
  }

  async listHeartbeats(): Promise<Heartbeat[]> {
    return [...this.#heartbeats.values()].toSorted((a, b) => (a.hostId < b.hostId ? -1 : 1));
  }

  async sumUsage(query: UsageQuery): Promise<DeploymentUsage[]> {
    const sums = new Map<string, DeploymentUsage>();
    for (const { run, samples } of this.#matching(query)) {
      for (const sample of samples) {
        if (Number(sample.atUnixMs) < query.fromMs || Number(sample.atUnixMs) >= query.toMs)
          continue;
        const { deploymentId } = run;
        const usage = addUsage(sums.get(deploymentId)?.usage ?? noUsage, usageOf(sample));
        sums.set(deploymentId, { deploymentId, usage });
      }
    }
    return [...sums.values()].toSorted((a, b) => (a.deploymentId < b.deploymentId ? -1 : 1));
  }

  async listGaps(query: UsageQuery): Promise<RunGap[]> {
    return this.#matching(query)
      .flatMap(({ run: { vmId, bootEpoch }, gaps }) =>
        gaps.map((gap) => ({ vmId, bootEpoch, ...gap })),
      )
      .filter((gap) => gap.fromMs < query.toMs && gap.toMs >= query.fromMs)
      .toSorted(byStart);
  }

  async close(): Promise<void> {}

  #matching(query: UsageQuery): MemoryRun[] {
    return [...this.#runs.values()].filter(
      ({ run }) =>
        run.tenantId === query.tenantId &&
        (query.deploymentId === undefined || run.deploymentId === query.deploymentId),
    );
  }

  #get(run: Run): MemoryRun {
    const known = this.#runs.get(runId(run));
    if (!known) throw new Error(`run ${runId(run)} was not added`);
    return known;
  }

  async #write(write: Write, effect: () => void): Promise<void> {
    const index = this.#failures.findIndex((failure) => failure.write === write);
    const failure = index < 0 ? undefined : this.#failures.splice(index, 1)[0];
    if (failure?.when === 'before') throw failure.error;
    effect();
    if (failure) throw failure.error;
  }
}

function recordOf({ run, startedAtMs, stopped, samples }: MemoryRun): RunRecord {
  const tail = samples.reduce<StoredSample | undefined>(
    (last, sample) => (last && last.sequence > sample.sequence ? last : sample),
    undefined,
  );
  return { run, startedAtMs, stopped, tail: tail && withoutGrowth(tail) };
}

function withoutGrowth({ used: _used, ...sample }: StoredSample): Sample {
  return sample;
}

function usageOf(sample: StoredSample): DeploymentUsage['usage'] {
  return {
    cpuNs: sample.used.cpuNs,
    memoryByteMs: sample.memoryBytes * BigInt(sample.coversMs),
    vmMs: BigInt(sample.coversMs),
    diskReadBytes: sample.used.diskReadBytes,
    diskWriteBytes: sample.used.diskWriteBytes,
    netRxBytes: sample.used.netRxBytes,
    netTxBytes: sample.used.netTxBytes,
    samples: 1n,
  };
}

function byStart(a: Gap, b: Gap): number {
  return a.fromMs - b.fromMs || a.toMs - b.toMs;
}
