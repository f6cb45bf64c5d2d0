import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { type Clock, IngotError, type Logger } from '@ingot/daemon-kit';
import type { ChdbReply, ChdbRequest, SqlParameters } from './chdb-protocol.ts';

const program = fileURLToPath(new URL('./chdb-child.ts', import.meta.url));

/** A process that does not answer for this long is killed and started anew with the next call. */
const answerTimeoutMs = 60_000;
/** How long the lock of a process that is just dying is waited for. */
const openTimeoutMs = 5_000;
/** How long running calls may take to end when the store is closed. */
const closeTimeoutMs = 5_000;
const reopenAfterMs = 200;

interface Call {
  resolve: (text: string) => void;
  reject: (error: IngotError) => void;
}

interface Engine {
  child: ChildProcess;
  calls: Map<number, Call>;
  exited: Promise<string>;
  /** The last it wrote to standard error: where the engine says why it will not open. */
  lastWords: string;
}

/**
 * The ClickHouse engine on one data directory, in a process of its own. The process is started by
 * the first call and again by the first call after its death. At most one is alive at any time: a
 * new one starts only after the old one has ended, so a call that was rejected can no longer happen
 * later.
 *
 * Every call rejects with IngotError unavailable when the engine refuses it or dies under it.
 */
export class ChdbProcess {
  readonly #directory: string;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #onOpened: (run: (sql: string) => Promise<unknown>) => Promise<void>;
  #engine: Promise<Engine> | undefined;
  #nextId = 1;
  #stopped = false;

  /** @param options.onOpened - brings tables up to date; run on each start, before other calls. */
  constructor(options: {
    directory: string;
    clock: Clock;
    logger: Logger;
    onOpened: (run: (sql: string) => Promise<unknown>) => Promise<void>;
  }) {
    this.#directory = options.directory;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#onOpened = options.onOpened;
  }

  /** Runs one statement. Resolves to its rows, each a parsed JSON object. */
  async query(sql: string, parameters: SqlParameters = {}): Promise<unknown[]> {
    const engine = await this.#ready();
    return parseRows(await this.#call(engine, { kind: 'query', sql, parameters }));
  }

  /** Inserts rows, all or none, durably. Bigints may be given as such. */
  async insert(
    table: string,
    columns: readonly string[],
    rows: readonly (readonly unknown[])[],
  ): Promise<void> {
    const engine = await this.#ready();
    const text = rows.map((row) => JSON.stringify(row, quoteBigint)).join('\n');
    await this.#call(engine, { kind: 'insert', table, columns, rows: text });
  }

  /** The process id of the engine, while one runs: for tests and logs. */
  async pid(): Promise<number | undefined> {
    return (await this.#engine)?.child.pid;
  }

  /** Lets running calls end, closes the engine and waits for its process to be gone. */
  async stop(): Promise<void> {
    this.#stopped = true;
    const engine = await this.#engine?.catch(() => undefined);
    if (!engine) return;
    post(engine, { kind: 'close' });
    const timer = setTimeout(() => engine.child.kill('SIGKILL'), closeTimeoutMs);
    await engine.exited;
    clearTimeout(timer);
  }

  #ready(): Promise<Engine> {
    if (this.#stopped) throw new IngotError('unavailable', 'the usage store is closed');
    if (!this.#engine) {
      const engine = this.#start();
      this.#engine = engine;
      // A start that failed is tried again by the next call.
      engine.catch(() => {
        if (this.#engine === engine) this.#engine = undefined;
      });
    }
    return this.#engine;
  }

  async #start(): Promise<Engine> {
    const giveUpAt = this.#clock.monotonicMs() + openTimeoutMs;
    for (;;) {
      const opened = await this.#spawn();
      if (typeof opened !== 'string') {
        await this.#onOpened((sql) =>
          this.#call(opened, { kind: 'query', sql, parameters: {} }),
        ).catch((error: unknown) => {
          opened.child.kill('SIGKILL');
          throw error;
        });
        this.#logger.info({ enginePid: opened.child.pid }, 'the usage store is open');
        return opened;
      }
      if (this.#clock.monotonicMs() > giveUpAt) {
        throw new IngotError('unavailable', `cannot open the usage store: ${opened}`, {
          remedy: `check that no other billaged uses ${this.#directory} and that its disk has room`,
        });
      }
      await this.#clock.sleep(reopenAfterMs);
    }
  }

  /** Resolves to the engine, or to the reason why it would not open. */
  async #spawn(): Promise<Engine | string> {
    const child = fork(program, [this.#directory], {
      env: { LC_ALL: 'C' },
      execArgv: [],
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    const engine: Engine = { child, calls: new Map(), exited: exitOf(child), lastWords: '' };
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      engine.lastWords = `${engine.lastWords}${text}`.slice(-2000);
    });
    void engine.exited.then((how) => this.#onExit(engine, how));
    return new Promise((resolve) => {
      void engine.exited.then((how) => resolve(`its process ended with ${how}`));
      child.on('message', (message: ChdbReply) => {
        if (message.kind === 'opened') resolve(engine);
        else if (message.kind === 'refused')
          void engine.exited.then(() => resolve(engine.lastWords.trim() || message.message));
        else settle(engine, message);
      });
    });
  }

  #onExit(engine: Engine, how: string): void {
    if (!this.#stopped) {
      this.#logger.warn({ how, stderr: engine.lastWords }, 'the process of the usage store ended');
    }
    void this.#engine?.then(
      (current) => {
        if (current === engine) this.#engine = undefined;
      },
      () => undefined,
    );
    for (const call of engine.calls.values()) call.reject(died(how));
    engine.calls.clear();
  }

  #call(engine: Engine, request: CallRequest): Promise<string> {
    const id = this.#nextId++;
    const { child, calls } = engine;
    return new Promise<string>((resolve, reject) => {
      if (child.exitCode !== null || child.signalCode !== null) {
        reject(died(child.signalCode ?? String(child.exitCode)));
        return;
      }
      // The call itself is rejected by the end of the process, when it can no longer happen.
      const timer = setTimeout(() => child.kill('SIGKILL'), answerTimeoutMs);
      calls.set(id, {
        resolve: (text) => (clearTimeout(timer), resolve(text)),
        reject: (error) => (clearTimeout(timer), reject(error)),
      });
      post(engine, { ...request, id });
    });
  }
}

type WithoutId<T> = T extends { id: number } ? Omit<T, 'id'> : never;
type CallRequest = WithoutId<ChdbRequest>;

async function exitOf(child: ChildProcess): Promise<string> {
  try {
    const [code, signal] = (await once(child, 'exit')) as [number | null, string | null];
    return signal ?? `code ${code}`;
  } catch (error) {
    return String(error);
  }
}

function post(engine: Engine, request: ChdbRequest): void {
  // A message that does not arrive means a dead process, whose end rejects every call.
  engine.child.send(request, () => undefined);
}

function settle(engine: Engine, message: Extract<ChdbReply, { id: number }>): void {
  const call = engine.calls.get(message.id);
  engine.calls.delete(message.id);
  if (message.kind === 'done') call?.resolve(message.text);
  else call?.reject(new IngotError('unavailable', `the usage store refused: ${message.message}`));
}

function died(how: string): IngotError {
  return new IngotError('unavailable', `the process of the usage store ended (${how})`, {
    remedy: 'try again: it is started anew',
  });
}

function quoteBigint(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value;
}

function parseRows(text: string): unknown[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as unknown);
}
