import { createHash } from 'node:crypto';
import type { Client } from '@connectrpc/connect';
import { type billing, hashSamples } from '@ingot/contracts';
import {
  type Clock,
  IngotError,
  isIngotError,
  type Logger,
  type Random,
  retry,
} from '@ingot/daemon-kit';
import { type Gap, hasUnsentSamples, lastSequence, type RunLog } from '../domain/journal-state.ts';
import type { Journal } from './journal/journal.ts';

export type BillingClient = Pick<
  Client<typeof billing.BillingService>,
  'sendMetricsBatch' | 'sendHeartbeat' | 'notifyVmStarted' | 'notifyVmStopped' | 'notifyPossibleGap'
>;

export interface SenderOptions {
  hostId: string;
  /** A running VM's samples are sent this often. */
  batchIntervalMs: number;
  journal: Journal;
  client: BillingClient;
  clock: Clock;
  random: Random;
  logger: Logger;
}

/** What billaged takes in one batch. After a minute of ticks it is 600. */
const maxBatchSamples = 6_000;
/** Batches on their way at once: after an outage every run has much to send. */
const maxConcurrent = 8;
const callTimeoutMs = 30_000;

/**
 * Brings every run's journal to billaged, each run in order (start notice, gaps, samples, stop
 * notice) and independent of the others, until everything of it is acknowledged.
 */
export class Sender {
  readonly #options: SenderOptions;
  readonly #stopping = new AbortController();
  readonly #tasks = new Map<number, { done: Promise<void>; wake: () => void }>();
  /** What did not work when last tried: "heartbeat" or a run's ref. */
  readonly #failing = new Set<string>();
  readonly #waiting: (() => void)[] = [];
  #active = 0;

  constructor(options: SenderOptions) {
    this.#options = options;
  }

  get degraded(): boolean {
    return this.#failing.size > 0;
  }

  /** Sends what the run has, now. To be called when it started, stopped, or is there after a restart. */
  kick(run: RunLog): void {
    const known = this.#tasks.get(run.ref);
    if (known) return known.wake();
    let wake = (): void => undefined;
    const sleep = async (ms: number): Promise<void> => {
      const awake = new AbortController();
      wake = () => awake.abort();
      const signal = AbortSignal.any([awake.signal, this.#stopping.signal]);
      await this.#options.clock.sleep(ms, signal).catch(() => undefined);
    };
    const done = this.#drive(run, sleep)
      .catch((error: unknown) => {
        if (this.#stopping.signal.aborted) return;
        this.#options.logger.error({ err: error, vmId: run.vmId }, 'sending usage ended');
      })
      .finally(() => this.#tasks.delete(run.ref));
    this.#tasks.set(run.ref, { done, wake: () => wake() });
  }

  /** Tells billaged that this host lives, and how far each run is. One try. */
  async heartbeat(): Promise<void> {
    const { hostId, clock, journal, client, logger } = this.#options;
    const runs = [...journal.state.values()].map((run) => ({
      vmId: run.vmId,
      bootEpoch: run.bootEpoch,
      lastSequence: lastSequence(run),
    }));
    const request = { hostId, atUnixMs: BigInt(clock.now()), runs };
    try {
      await client.sendHeartbeat(request, this.#callOptions());
      this.#failing.delete('heartbeat');
    } catch (error) {
      if (this.#stopping.signal.aborted) return;
      // Said once; readiness says it for as long as it lasts.
      if (!this.#failing.has('heartbeat')) logger.warn({ err: error }, 'billaged does not answer');
      this.#failing.add('heartbeat');
    }
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    for (const next of this.#waiting.splice(0)) next();
    await Promise.all([...this.#tasks.values()].map(({ done }) => done));
  }

  async #drive(run: RunLog, sleep: (ms: number) => Promise<void>): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      const stopped = run.stoppedAtUnixMs !== undefined;
      await this.#retry(run, () => this.#sendAll(run));
      if (stopped) {
        this.#options.journal.append({ kind: 'finished', ref: run.ref });
        await this.#options.journal.trim();
        return;
      }
      // It may have stopped while the last batch was on its way.
      if (run.stoppedAtUnixMs === undefined) await sleep(this.#untilDueMs(run));
    }
  }

  /** Every run has its own place within the interval, so that not all send at once. */
  #untilDueMs({ vmId }: RunLog): number {
    const { batchIntervalMs, clock } = this.#options;
    const phase = createHash('sha256').update(vmId).digest().readUInt32LE(0) % batchIntervalMs;
    const since = (clock.monotonicMs() - phase) % batchIntervalMs;
    return batchIntervalMs - (since < 0 ? since + batchIntervalMs : since);
  }

  async #retry(run: RunLog, task: () => Promise<void>): Promise<void> {
    const { clock, random, logger } = this.#options;
    const key = String(run.ref);
    await retry(() => this.#inTurn(task), {
      clock,
      random,
      signal: this.#stopping.signal,
      baseMs: 500,
      capMs: 30_000,
      onError: (error, attempt) => {
        this.#failing.add(key);
        const facts = { err: error, vmId: run.vmId, bootEpoch: run.bootEpoch, attempt };
        logger[attempt === 1 ? 'warn' : 'debug'](facts, 'cannot send usage; trying again');
      },
    });
    this.#failing.delete(key);
  }

  async #inTurn(task: () => Promise<void>): Promise<void> {
    if (this.#active >= maxConcurrent) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else this.#active++;
    try {
      await task();
    } finally {
      // The turn goes to the next in line, who then counts as active in this one's place.
      const next = this.#waiting.shift();
      if (next) next();
      else this.#active--;
    }
  }

  /** Everything the run has by now. Each step is journalled as done once billaged has it. */
  async #sendAll(run: RunLog): Promise<void> {
    const { journal, client } = this.#options;
    const { stoppedAtUnixMs } = run;
    const target = lastSequence(run);
    if (!run.startAcknowledged) {
      const { startedAtUnixMs, vcpus, memoryBytes } = run;
      const at = { atUnixMs: BigInt(startedAtUnixMs), vcpus, memoryBytes };
      await client.notifyVmStarted({ run: this.#name(run), ...at }, this.#callOptions());
      journal.append({ kind: 'start_acknowledged', ref: run.ref });
    }
    await this.#sendGaps(run);
    while (hasUnsentSamples(run) && run.acknowledgedThrough < target) await this.#sendBatch(run);
    if (stoppedAtUnixMs === undefined) return;
    const end = { atUnixMs: BigInt(stoppedAtUnixMs), lastSequence: run.deliveredThrough };
    await client.notifyVmStopped({ run: this.#name(run), ...end }, this.#callOptions());
  }

  async #sendGaps(run: RunLog): Promise<void> {
    for (const { id, fromUnixMs, toUnixMs, cause } of run.gaps) {
      const gap = { fromUnixMs: BigInt(fromUnixMs), toUnixMs: BigInt(toUnixMs), cause };
      await this.#options.client.notifyPossibleGap(
        { run: this.#name(run), ...gap },
        this.#callOptions(),
      );
      this.#options.journal.append({ kind: 'gap_acknowledged', ref: run.ref, id });
    }
  }

  async #sendBatch(run: RunLog): Promise<void> {
    const { journal, client } = this.#options;
    const next = run.acknowledgedThrough + 1n;
    // Nothing leaves the host before it is safe here: a sequence is never used for two samples.
    await journal.sync();
    const read = await journal.readSamples(run.ref, next, maxBatchSamples);
    const hole = read.findIndex(({ sequence }, index) => sequence !== next + BigInt(index));
    if (hole === 0 || read.length === 0) return this.#passOver(run, read[0]);
    const samples = hole < 0 ? read : read.slice(0, hole);
    const last = samples.at(-1) ?? read[0];
    const batch = { run: this.#name(run), samples, contentSha256: hashSamples(samples) };
    try {
      await client.sendMetricsBatch(batch, this.#callOptions());
    } catch (error) {
      this.#goBack(run, error);
      throw error;
    }
    if (last) this.#acknowledge(run, last.sequence, Number(last.atUnixMs), true);
    await journal.trim();
  }

  /** Declares what the journal lost: up to the first sample it still has, or all that is left. */
  async #passOver(
    run: RunLog,
    found: { sequence: bigint; atUnixMs: bigint } | undefined,
  ): Promise<void> {
    const toUnixMs = Number(
      found?.atUnixMs ?? run.last?.atUnixMs ?? BigInt(run.acknowledgedAtUnixMs),
    );
    const fromUnixMs = Math.min(run.acknowledgedAtUnixMs, toUnixMs);
    const gap: Omit<Gap, 'id'> = { fromUnixMs, toUnixMs, cause: 'journal_damaged' };
    this.#options.logger.error({ vmId: run.vmId, ...gap }, 'samples are missing in the journal');
    this.#options.journal.append({ kind: 'gap', ref: run.ref, gap });
    await this.#sendGaps(run);
    const through = found ? found.sequence - 1n : lastSequence(run);
    this.#acknowledge(run, through, toUnixMs, false);
  }

  /** billaged has less than it once acknowledged: go on from where it is, with what the journal still has. */
  #goBack(run: RunLog, error: unknown): void {
    if (!isIngotError(error, 'batch_out_of_order')) return;
    const stored = error.facts['storedThrough'];
    if (stored === undefined || !/^\d+$/.test(stored)) return;
    this.#acknowledge(run, BigInt(stored), run.startedAtUnixMs, true);
  }

  #acknowledge(run: RunLog, through: bigint, atUnixMs: number, delivered: boolean): void {
    const { ref } = run;
    const record = { kind: 'samples_acknowledged', ref, through, atUnixMs, delivered } as const;
    this.#options.journal.append(record);
  }

  #name(run: RunLog): Omit<billing.VmRun, '$typeName'> {
    const { vmId, bootEpoch, tenantId, deploymentId } = run;
    return { hostId: this.#options.hostId, vmId, bootEpoch, tenantId, deploymentId };
  }

  #callOptions(): { timeoutMs: number; signal: AbortSignal } {
    if (this.#stopping.signal.aborted) throw new IngotError('cancelled', 'metering is stopping');
    return { timeoutMs: callTimeoutMs, signal: this.#stopping.signal };
  }
}
