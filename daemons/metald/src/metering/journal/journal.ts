import { mkdirSync, readdirSync, readFileSync, truncateSync, unlinkSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Logger, messageOf } from '@ingot/daemon-kit';
import { applyRecord, type JournalRecord, type JournalState } from '../../domain/journal-state.ts';
import type { Sample } from '../../domain/sample.ts';
import { collectSamples, decodeRecords, encodeRecord } from './record-codec.ts';
import { SampleWindow } from './sample-window.ts';
import { type OldSegment, OpenSegment, SegmentIndex } from './segment.ts';

export interface JournalOptions {
  dir: string;
  logger: Logger;
  /** A segment that has grown beyond this is followed by a new one. */
  segmentBytes?: number;
  /** How much is kept in memory while the disk takes nothing. */
  maxBacklogBytes?: number;
}

/**
 * Everything metering must not forget, in append-only files. What was appended survives the death of
 * metald at once, and a power cut from the next `sync` on. Each segment begins with all that is known
 * of every run, so the oldest can go as soon as its samples are acknowledged.
 */
export class Journal {
  readonly state: JournalState = new Map();
  readonly #options: Required<JournalOptions>;
  readonly #windows = new Map<number, SampleWindow>();
  readonly #old: OldSegment[] = [];
  #current: OpenSegment | undefined;
  #backlog: Buffer[] = [];
  #backlogBytes = 0;
  #nextRef = 1;
  #nextSegment = 1;
  #writeProblem: string | undefined;
  #syncProblem: string | undefined;

  /** Replays what is there. @throws the system's error when the directory cannot be read. */
  constructor(options: JournalOptions) {
    this.#options = { segmentBytes: 4 << 20, maxBacklogBytes: 64 << 20, ...options };
    mkdirSync(options.dir, { recursive: true, mode: 0o700 });
    this.#replay();
    this.flush();
  }

  /** Why what is appended does not reach the disk; undefined while it does. */
  get problem(): string | undefined {
    return this.#writeProblem ?? this.#syncProblem;
  }

  /** True when no more should be appended than has to be. */
  get overfull(): boolean {
    return this.#backlogBytes >= this.#options.maxBacklogBytes;
  }

  newRef(): number {
    return this.#nextRef++;
  }

  /**
   * Appends records with one write. When the disk does not take them they wait in memory, in order,
   * for the next try, and `problem` says so; nothing is thrown.
   */
  append(...records: JournalRecord[]): void {
    for (const record of records) {
      this.#note(record);
      const bytes = encodeRecord(record);
      this.#backlog.push(bytes);
      this.#backlogBytes += bytes.length;
      this.#current?.index.note(record);
    }
    this.flush();
  }

  /** Tries again to write what waits in memory. */
  flush(): void {
    try {
      this.#current ??= this.#openSegment();
      if (this.#backlogBytes > 0) {
        this.#current.append(Buffer.concat(this.#backlog));
        this.#backlog = [];
        this.#backlogBytes = 0;
      }
      if (this.#current.size >= this.#options.segmentBytes) this.#rotate(this.#current);
      this.#setProblem({ write: undefined });
    } catch (error) {
      this.#setProblem({ write: messageOf(error) });
    }
  }

  /** Resolves when all that was appended by now is safe from a power cut, or `problem` says why not. */
  async sync(): Promise<void> {
    try {
      await this.#current?.sync();
      this.#setProblem({ sync: undefined });
    } catch (error) {
      this.#setProblem({ sync: messageOf(error) });
    }
  }

  /** The samples of a run from sequence `from` on, ascending, at most `max`. There may be a hole where a segment was damaged. */
  async readSamples(ref: number, from: bigint, max: number): Promise<Sample[]> {
    const recent = this.#windows.get(ref)?.read(from, max);
    if (recent) return recent;
    const found: Sample[] = [];
    const wanted = { ref, from, max };
    const waiting = Buffer.concat(this.#backlog);
    const segments = [...this.#old, ...(this.#current ? [this.#current] : [])];
    for (const { path, index } of segments) {
      if (found.length >= max) break;
      if (index.holds(ref, from)) collectSamples(await readFile(path), wanted, found);
    }
    if (found.length < max) collectSamples(waiting, wanted, found);
    return withoutRepeats(found).slice(0, max);
  }

  /** Deletes the oldest segments, as far as all their samples are acknowledged. */
  async trim(): Promise<void> {
    const through = (ref: number): bigint | undefined => this.state.get(ref)?.acknowledgedThrough;
    if (!this.#old[0]?.index.isDone(through)) return;
    // The newer segments must be safe before an older one goes.
    await this.sync();
    if (this.problem !== undefined) return;
    const kept = this.#old.findIndex(({ index }) => !index.isDone(through));
    const done = this.#old.splice(0, kept < 0 ? this.#old.length : kept);
    for (const { path } of done) unlinkSync(path);
  }

  async close(): Promise<void> {
    this.flush();
    await this.#current?.close();
    this.#current = undefined;
  }

  #note(record: JournalRecord): void {
    applyRecord(this.state, record);
    if (record.kind === 'run') this.#nextRef = Math.max(this.#nextRef, record.run.ref + 1);
    if (record.kind === 'finished') this.#windows.delete(record.ref);
    if (record.kind !== 'samples') return;
    for (const { ref, sample } of record.samples) {
      const window = this.#windows.get(ref) ?? new SampleWindow();
      this.#windows.set(ref, window);
      window.add(sample);
    }
  }

  #replay(): void {
    const names = readdirSync(this.#options.dir).filter((name) => /^\d{12}\.log$/.test(name));
    for (const name of names.toSorted()) {
      const path = join(this.#options.dir, name);
      const index = new SegmentIndex();
      const bytes = readFileSync(path);
      let end = 0;
      for (const one of decodeRecords(bytes)) {
        this.#noteReplayed(one.record);
        index.note(one.record);
        end = one.end;
      }
      if (end < bytes.length) this.#cut(path, end, bytes.length, name === names.toSorted().at(-1));
      this.#old.push({ path, index });
      this.#nextSegment = Number.parseInt(name, 10) + 1;
    }
    // Filled anew by what comes: after a restart, what is unsent is read from the files.
    this.#windows.clear();
  }

  #noteReplayed(record: JournalRecord): void {
    applyRecord(this.state, record);
    if (record.kind === 'run') this.#nextRef = Math.max(this.#nextRef, record.run.ref + 1);
  }

  #cut(path: string, end: number, size: number, newest: boolean): void {
    const facts = { path, bytes: size - end };
    // The end of the newest is where a power cut or a full disk stopped a write. Elsewhere the disk lost something.
    if (newest) this.#options.logger.warn(facts, 'cut the torn end of the usage journal');
    else this.#options.logger.error(facts, 'the usage journal is damaged: samples are lost');
    if (newest) truncateSync(path, end);
  }

  #openSegment(): OpenSegment {
    const name = `${String(this.#nextSegment).padStart(12, '0')}.log`;
    this.#nextSegment++;
    const segment = new OpenSegment(join(this.#options.dir, name));
    // What waits in memory is part of the state already, and its samples come right behind.
    const runs = [...this.state.values()].map((run) => encodeRecord({ kind: 'run', run }));
    for (const bytes of this.#backlog) {
      for (const { record } of decodeRecords(bytes)) segment.index.note(record);
    }
    try {
      segment.append(Buffer.concat(runs));
    } catch (error) {
      void segment.close().catch(() => undefined);
      unlinkSync(segment.path);
      throw error;
    }
    return segment;
  }

  #rotate(full: OpenSegment): void {
    this.#current = this.#openSegment();
    this.#old.push({ path: full.path, index: full.index });
    full.close().catch((error: unknown) => this.#setProblem({ sync: messageOf(error) }));
  }

  #setProblem(change: { write?: string | undefined; sync?: string | undefined }): void {
    const before = this.problem;
    if ('write' in change) this.#writeProblem = change.write;
    if ('sync' in change) this.#syncProblem = change.sync;
    const { problem } = this;
    if ((problem === undefined) === (before === undefined)) return;
    const { logger, dir } = this.#options;
    if (problem === undefined) logger.info({ dir }, 'the usage journal is written again');
    else logger.error({ dir, problem }, 'the usage journal is not safe on disk');
  }
}

/** A record written again after an uncertain failure is read twice. */
function withoutRepeats(samples: readonly Sample[]): Sample[] {
  let last = -1n;
  return samples.filter(({ sequence }) => {
    const isNew = sequence > last;
    if (isNew) last = sequence;
    return isNew;
  });
}
