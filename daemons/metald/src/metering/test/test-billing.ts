import { randomUUID } from 'node:crypto';
import { hashSamples } from '@ingot/contracts';
import { IngotError } from '@ingot/daemon-kit';
import type { Sample } from '../../domain/sample.ts';
import type { CounterSource } from '../counters/counter-source.ts';
import type { MeteredRun } from '../metering.ts';
import type { BillingClient } from '../sender.ts';

/** What one run looks like at the other end. */
export interface BilledRun {
  events: string[];
  samples: Sample[];
  gaps: { fromUnixMs: number; toUnixMs: number; cause: string }[];
  lastSequence: bigint | undefined;
}

type Request = Parameters<BillingClient['sendMetricsBatch']>[0];

/** A billaged of the mind with the rules of the real one: exactly once, in order, same content. */
export class TestBilling {
  readonly runs = new Map<string, BilledRun>();
  heartbeats: { vmId: string; lastSequence: bigint }[][] = [];
  batches: number[] = [];
  /** Throws for what must fail; called before anything is stored. */
  failBefore: (vmId: string | undefined) => void = () => undefined;
  /** Throws for what is stored but whose answer is lost. */
  failAfter: (vmId: string | undefined) => void = () => undefined;

  run(vmId: string, bootEpoch = 1): BilledRun {
    const key = `${vmId}/${bootEpoch}`;
    const run = this.runs.get(key) ?? {
      events: [],
      samples: [],
      gaps: [],
      lastSequence: undefined,
    };
    this.runs.set(key, run);
    return run;
  }

  readonly client = {
    notifyVmStarted: (request: Request) =>
      this.#take(request, (run) => void run.events.push('started')),
    notifyVmStopped: (request: Request & { lastSequence: bigint }) =>
      this.#take(request, (run) => {
        run.events.push('stopped');
        run.lastSequence = request.lastSequence;
      }),
    notifyPossibleGap: (
      request: Request & { fromUnixMs: bigint; toUnixMs: bigint; cause: string },
    ) =>
      this.#take(request, (run) => {
        const gap = {
          fromUnixMs: Number(request.fromUnixMs),
          toUnixMs: Number(request.toUnixMs),
          cause: request.cause,
        };
        const known = run.gaps.some((one) => JSON.stringify(one) === JSON.stringify(gap));
        if (!known) run.gaps.push(gap);
      }),
    sendMetricsBatch: (request: Request) =>
      this.#take(request, (run) => {
        const samples = request.samples as Sample[];
        if (hashSamples(samples) !== request.contentSha256) throw new Error('wrong hash');
        this.batches.push(samples.length);
        for (const sample of samples) store(run, sample);
      }),
    sendHeartbeat: async (request: { runs: { vmId: string; lastSequence: bigint }[] }) => {
      this.failBefore(undefined);
      this.heartbeats.push(request.runs);
      return {};
    },
  } as unknown as BillingClient;

  async #take(request: Request, change: (run: BilledRun) => void): Promise<object> {
    const { vmId = '', bootEpoch = 0 } = request.run ?? {};
    this.failBefore(vmId);
    change(this.run(vmId, bootEpoch));
    this.failAfter(vmId);
    return {};
  }
}

function store(run: BilledRun, sample: Sample): void {
  const known = run.samples.find(({ sequence }) => sequence === sample.sequence);
  if (known) {
    if (hashSamples([known]) !== hashSamples([sample])) throw new Error('conflict');
    return;
  }
  const stored = run.samples.at(-1)?.sequence ?? 0n;
  const declared = run.gaps.some(({ toUnixMs }) => toUnixMs >= Number(sample.atUnixMs));
  if (sample.sequence !== stored + 1n && !declared) {
    throw new IngotError('batch_out_of_order', 'hole', {
      facts: { storedThrough: String(stored) },
    });
  }
  run.samples.push(sample);
}

/** Counters a test sets by hand. */
export class TestCounters implements CounterSource {
  cpuNs = 0n;
  rxBytes = 1_000n;
  gone = new Set<number>();

  open(pid: number): ReturnType<CounterSource['open']> {
    return {
      read: () =>
        this.gone.has(pid)
          ? undefined
          : { cpuNs: this.cpuNs, residentBytes: 5n, diskReadBytes: 6n, diskWriteBytes: 7n },
      close: () => undefined,
    };
  }

  readNetwork(): ReturnType<CounterSource['readNetwork']> {
    return new Map([['veth', { rxBytes: this.rxBytes, txBytes: 9n }]]);
  }

  close(): void {}
}

export function runOf(fields: Partial<MeteredRun> = {}): MeteredRun {
  return {
    vmId: randomUUID(),
    bootEpoch: 1,
    tenantId: 'acme',
    deploymentId: 'shop',
    pid: 1,
    startTimeTicks: 1,
    vethName: 'veth',
    vcpus: 1,
    memoryBytes: 128n << 20n,
    ...fields,
  };
}
