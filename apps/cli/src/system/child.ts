import { spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import { type Clock, IngotError, messageOf } from '@ingot/daemon-kit/client';
import { logPath, openLog, readTail } from './log-file.ts';
import { endProcess, type ProcessRef, processRef } from './process-ref.ts';
import type { RunState } from './run-state.ts';

export interface ChildSpec {
  readonly name: string;
  readonly file: string;
  readonly args: readonly string[];
  readonly cwd: string;
  /** The process's whole environment. */
  readonly env: Readonly<Record<string, string>>;
  /** Asks the running process whether it can work. */
  readonly probe: () => Promise<ProbeResult>;
}

export interface ChildSurroundings {
  readonly dataDir: string;
  readonly clock: Clock;
  readonly runState: RunState;
  /** Tells the operator what happens to the process. */
  readonly report: (line: string) => void;
}

/** What a probe finds: able to work, or not yet and why. */
export interface ProbeResult {
  ready: boolean;
  reasons: readonly string[];
}

/** kit's runMain cuts a daemon's stop after 10 s; this is beyond it. */
const stopGraceMs = 12_000;
const readyTimeoutMs = 120_000;
const pollMs = 50;
/** A daemon that is ready gets this long to find its peers before what it lacks is told. */
const settleMs = 3000;
/** So many deaths in a row without having been ready, and a process is not started again. */
const maxVainStarts = 6;
const restartBaseMs = 200;

/**
 * One process that `ingot up` starts, in a session of its own so that a Ctrl-C in the terminal
 * reaches only us, its output in a log file that it outlives us with. Once watched, it is started
 * again when it dies, until it dies too often.
 */
export class Child {
  readonly spec: ChildSpec;
  readonly #around: ChildSurroundings;
  readonly #stopping = new AbortController();
  #process: ProcessRef | undefined;
  #exited: Promise<string> = Promise.resolve('never started');
  #hasExited = true;
  #logFrom = 0;
  #restarts = 0;
  #vainStarts = 0;
  #watching: Promise<void> | undefined;

  constructor(spec: ChildSpec, around: ChildSurroundings) {
    this.spec = spec;
    this.#around = around;
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** Starts the process. @throws IngotError missing_program */
  async start(): Promise<void> {
    const { spec } = this;
    const log = openLog(logPath(this.#around.dataDir, spec.name));
    this.#logFrom = log.from;
    const child = spawn(spec.file, spec.args, {
      cwd: spec.cwd,
      env: spec.env,
      detached: true,
      stdio: ['ignore', log.fd, log.fd],
    });
    closeSync(log.fd);
    this.#hasExited = false;
    this.#exited = new Promise((resolve) => {
      child.on('exit', (code, signal) => {
        this.#hasExited = true;
        resolve(code === null ? `was ended by ${signal ?? 'a signal'}` : `exited with ${code}`);
      });
    });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', (cause) => {
        const message = `cannot start ${spec.file}: ${messageOf(cause)}`;
        reject(new IngotError('missing_program', message, { remedy: 'run scripts/setup', cause }));
      });
    });
    this.#process = processRef(child.pid ?? 0);
    this.#record(true);
  }

  /**
   * Resolves once the probe says so, with what is degraded.
   *
   * @throws IngotError unavailable with the end of its log when it dies before or takes too long.
   */
  async ready(signal: AbortSignal): Promise<readonly string[]> {
    const { clock } = this.#around;
    const deadline = clock.monotonicMs() + readyTimeoutMs;
    let readySince: number | undefined;
    let last: ProbeResult;
    do {
      signal.throwIfAborted();
      if (this.#hasExited) {
        throw this.#failure(`${this.spec.name} ${await this.#exited} before it was ready`);
      }
      last = await this.spec.probe();
      if (last.ready) {
        readySince ??= clock.monotonicMs();
        const settled = clock.monotonicMs() - readySince > settleMs;
        if (last.reasons.length === 0 || settled) return last.reasons;
      }
      await clock.sleep(pollMs, signal);
    } while (clock.monotonicMs() < deadline);
    const why = last.reasons.join('; ') || 'it gives no reason';
    throw this.#failure(`${this.spec.name} is not ready after ${readyTimeoutMs / 1000} s: ${why}`);
  }

  /** From now on starts the process again when it dies. */
  watch(): void {
    this.#watching ??= this.#watch();
  }

  /** Ends the process and its record. Twice is fine. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#watching;
    if (this.#process) await endProcess(this.#process, this.#around.clock, stopGraceMs);
    this.#around.runState.removeChild(this.spec.name);
  }

  async #watch(): Promise<void> {
    const { clock, report } = this.#around;
    const { name } = this.spec;
    const stopped = new Promise<undefined>((resolve) => {
      this.#stopping.signal.addEventListener('abort', () => resolve(undefined));
    });
    while (!this.#stopping.signal.aborted) {
      const end = await Promise.race([this.#exited, stopped]);
      if (end === undefined || this.#stopping.signal.aborted) return;
      this.#record(false);
      for (const line of readTail(this.#log(), this.#logFrom, 3)) report(`  | ${line}`);
      if (this.#vainStarts >= maxVainStarts) {
        report(
          `✗ ${name} ${end}; it was started ${maxVainStarts} times in vain and is not started again: ` +
            `correct the cause (${this.#log()}), then: ingot down, ingot up`,
        );
        return;
      }
      report(`✗ ${name} ${end}; it is started again`);
      const waitMs = restartBaseMs * 2 ** this.#vainStarts;
      await clock.sleep(waitMs, this.#stopping.signal).catch(() => undefined);
      if (this.#stopping.signal.aborted) return;
      this.#restarts += 1;
      this.#vainStarts += 1;
      await this.start().catch((error: unknown) => report(`✗ ${name}: ${messageOf(error)}`));
      void this.#noteReady();
    }
  }

  /** Once a process that was started again works, its earlier deaths no longer count. */
  async #noteReady(): Promise<void> {
    try {
      await this.ready(this.#stopping.signal);
      this.#vainStarts = 0;
    } catch {
      // It died or was stopped: #watch and stop see to that.
    }
  }

  #record(running: boolean): void {
    if (!this.#process) return;
    const { runState, clock, report } = this.#around;
    try {
      runState.writeChild(this.spec.name, {
        ...this.#process,
        startedAtUnixMs: clock.now(),
        restarts: this.#restarts,
        running,
      });
    } catch (error) {
      // Such as a full disk: looking after the daemons matters more than the note.
      report(`! cannot note the state of ${this.spec.name} for ingot status: ${messageOf(error)}`);
    }
  }

  #failure(message: string): IngotError {
    return new IngotError('unavailable', message, {
      log: readTail(this.#log(), this.#logFrom, 10),
      remedy: `correct what its log says (${this.#log()}); \`ingot doctor\` checks the usual causes`,
    });
  }

  #log(): string {
    return logPath(this.#around.dataDir, this.spec.name);
  }
}
