import {
  type Clock,
  IngotError,
  type Logger,
  type Loop,
  type Random,
  startLoop,
} from '@ingot/daemon-kit';
import { type Gap, type RunLog } from '../domain/journal-state.ts';
import type { CounterSource } from './counters/counter-source.ts';
import { Journal } from './journal/journal.ts';
import type { MeteredRun, Metering } from './metering.ts';
import { Sampler } from './sampler.ts';
import { type BillingClient, Sender } from './sender.ts';
import { startTick } from './tick.ts';

export interface MeteringSettings {
  /** This host's name in billing; never changes for a data directory. */
  hostId: string;
  /** Where the journal is kept. */
  dir: string;
  /** Default 100 ms. */
  tickMs?: number;
  /** Default one minute. */
  batchIntervalMs?: number;
  /** Default 30 s. */
  heartbeatIntervalMs?: number;
  segmentBytes?: number;
}

interface MeteringParts {
  client: BillingClient;
  counters: CounterSource;
  clock: Clock;
  random: Random;
  logger: Logger;
}

/** Metering on a journal on disk. The constructor replays it. */
export class JournalMetering implements Metering {
  readonly #settings: MeteringSettings;
  readonly #parts: MeteringParts;
  readonly #journal: Journal;
  readonly #sampler: Sampler;
  readonly #sender: Sender;
  #running: { stop(): Promise<void> }[] = [];

  constructor(settings: MeteringSettings, parts: MeteringParts) {
    const { dir, hostId, batchIntervalMs = 60_000, segmentBytes } = settings;
    this.#settings = settings;
    this.#parts = parts;
    this.#journal = new Journal({
      dir,
      logger: parts.logger,
      ...(segmentBytes === undefined ? {} : { segmentBytes }),
    });
    const journal = this.#journal;
    this.#sampler = new Sampler({ ...parts, journal });
    this.#sender = new Sender({ ...parts, hostId, batchIntervalMs, journal });
  }

  get billingDegraded(): boolean {
    return this.#sender.degraded;
  }

  get journalProblem(): string | undefined {
    const { problem } = this.#journal;
    return problem && `the usage journal cannot be written (${problem}); usage is kept in memory`;
  }

  async start(): Promise<void> {
    const { tickMs = 100, heartbeatIntervalMs = 30_000 } = this.#settings;
    const { clock, logger } = this.#parts;
    for (const run of this.#journal.state.values()) this.#sender.kick(run);
    const loop = (name: string, everyMs: number, run: () => Promise<void>): Loop =>
      startLoop({ name, everyMs, clock, logger, run });
    this.#running = [
      startTick({ everyMs: tickMs, clock, logger, task: () => this.#sampler.sampleAll() }),
      loop('journal-sync', 1_000, () => this.#journal.sync()),
      loop('heartbeat', heartbeatIntervalMs, () => this.#sender.heartbeat()),
    ];
  }

  async runStarted(run: MeteredRun, atUnixMs: number): Promise<void> {
    if (this.#openLog(run.vmId)?.bootEpoch === run.bootEpoch) return this.runRecovered(run);
    this.#closeForgotten(run.vmId);
    const log = this.#newLog(run, atUnixMs, this.#sampler.networkBase(run.vethName));
    this.#journal.append({ kind: 'run', run: log });
    this.#sampler.add(log, run, atUnixMs);
    await this.#journal.sync();
    this.#sender.kick(log);
  }

  async runRecovered(run: MeteredRun): Promise<void> {
    if (this.#sampler.has(run.vmId)) return;
    const now = this.#parts.clock.now();
    let log = this.#openLog(run.vmId);
    if (log?.bootEpoch !== run.bootEpoch) {
      this.#closeForgotten(run.vmId);
      log = this.#logOfUnknown(run, now);
      this.#journal.append({ kind: 'run', run: log });
    }
    const cause = log.firstAfter > 0n && !log.last ? 'journal_damaged' : 'metald_down';
    this.#declareGap(log, now, cause);
    this.#sampler.add(log, run, now);
    this.#sampler.sampleOne(run.vmId, now);
    await this.#journal.sync();
    this.#sender.kick(log);
  }

  async sampleNow(vmId: string): Promise<void> {
    this.#sampler.sampleOne(vmId, this.#parts.clock.now());
  }

  async runStopped(vmId: string, atUnixMs: number): Promise<void> {
    const log = this.#openLog(vmId);
    if (!log) return;
    if (this.#sampler.has(vmId)) this.#sampler.close(vmId, atUnixMs);
    else this.#declareGap(log, atUnixMs, 'metald_down');
    this.#journal.append({ kind: 'stopped', ref: log.ref, atUnixMs });
    await this.#journal.sync();
    this.#sender.kick(log);
  }

  openRuns(): readonly { vmId: string; bootEpoch: number }[] {
    return [...this.#journal.state.values()]
      .filter(({ stoppedAtUnixMs }) => stoppedAtUnixMs === undefined)
      .map(({ vmId, bootEpoch }) => ({ vmId, bootEpoch }));
  }

  async stop(): Promise<void> {
    // The sender first of all: it cuts short the heartbeat that its loop would wait for.
    const sent = this.#sender.stop();
    await Promise.all(this.#running.map((part) => part.stop()));
    await sent;
    this.#sampler.stop();
    await this.#journal.close();
  }

  /** The run of the VM that has not stopped. */
  #openLog(vmId: string): RunLog | undefined {
    return [...this.#journal.state.values()].find(
      (log) => log.vmId === vmId && log.stoppedAtUnixMs === undefined,
    );
  }

  #closeForgotten(vmId: string): void {
    const log = this.#openLog(vmId);
    if (!log) return;
    this.#sampler.remove(vmId);
    const atUnixMs = lastSeenUnixMs(log);
    this.#journal.append({ kind: 'stopped', ref: log.ref, atUnixMs });
    this.#sender.kick(log);
  }

  #declareGap(log: RunLog, toUnixMs: number, cause: Gap['cause']): void {
    const fromUnixMs = Math.min(lastSeenUnixMs(log), toUnixMs);
    this.#journal.append({ kind: 'gap', ref: log.ref, gap: { fromUnixMs, toUnixMs, cause } });
  }

  /**
   * A living run the journal knows nothing of: it was lost. Its sequences go on from the time, which
   * is far beyond what ten samples a second can have reached, so none is used twice.
   */
  #logOfUnknown(run: MeteredRun, now: number): RunLog {
    this.#parts.logger.error({ vmId: run.vmId }, 'the usage journal knows nothing of a living run');
    const firstAfter = BigInt(now);
    const log = this.#newLog(run, now, { rxBytes: 0n, txBytes: 0n });
    // billaged knows the start already, or never will.
    return { ...log, firstAfter, acknowledgedThrough: firstAfter, deliveredThrough: firstAfter };
  }

  #newLog(run: MeteredRun, atUnixMs: number, netBase: RunLog['netBase']): RunLog {
    const { vmId, bootEpoch, tenantId, deploymentId, vcpus, memoryBytes } = run;
    if (atUnixMs <= 0) throw new IngotError('invalid_argument', 'a run starts at a point in time');
    return {
      ref: this.#journal.newRef(),
      ...{ vmId, bootEpoch, tenantId, deploymentId, vcpus, memoryBytes },
      startedAtUnixMs: atUnixMs,
      netBase,
      last: undefined,
      firstAfter: 0n,
      startAcknowledged: false,
      acknowledgedThrough: 0n,
      acknowledgedAtUnixMs: atUnixMs,
      deliveredThrough: 0n,
      gaps: [],
      nextGapId: 1,
      stoppedAtUnixMs: undefined,
    };
  }
}

function lastSeenUnixMs(log: RunLog): number {
  return log.last ? Number(log.last.atUnixMs) : log.startedAtUnixMs;
}
