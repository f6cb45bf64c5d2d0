import { closeSync, fdatasync, fsyncSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import type { JournalRecord } from '../../domain/journal-state.ts';

const datasync = promisify(fdatasync);

/** Which samples of which runs a segment holds. */
export class SegmentIndex {
  readonly #last = new Map<number, bigint>();

  note(record: JournalRecord): void {
    if (record.kind !== 'samples') return;
    for (const { ref, sample } of record.samples) this.#last.set(ref, sample.sequence);
  }

  /** Whether it holds a sample of the run with a sequence of at least `from`. */
  holds(ref: number, from: bigint): boolean {
    return (this.#last.get(ref) ?? -1n) >= from;
  }

  /** Whether every sample in it is acknowledged: `through` says how far, undefined for a finished run. */
  isDone(through: (ref: number) => bigint | undefined): boolean {
    return [...this.#last].every(([ref, last]) => last <= (through(ref) ?? last));
  }
}

/** A segment file nobody writes to any more. */
export interface OldSegment {
  path: string;
  index: SegmentIndex;
}

/** The segment that is written to. */
export class OpenSegment {
  readonly path: string;
  readonly index = new SegmentIndex();
  readonly #fd: number;
  #size = 0;
  #syncing: Promise<void> = Promise.resolve();

  /** Makes the file, and its name durable. @throws the system's error, such as ENOSPC. */
  constructor(path: string) {
    this.path = path;
    this.#fd = openSync(path, 'wx', 0o600);
    const dir = openSync(dirname(path), 'r');
    try {
      fsyncSync(dir);
    } finally {
      closeSync(dir);
    }
  }

  /** Bytes of whole records. */
  get size(): number {
    return this.#size;
  }

  /** Appends all of `bytes` or, seen from a replay, nothing. @throws the system's error, such as ENOSPC. */
  append(bytes: Buffer): void {
    let done = 0;
    while (done < bytes.length) {
      // By position: half of an earlier failure is written over.
      done += writeSync(this.#fd, bytes, done, bytes.length - done, this.#size + done);
    }
    this.#size += bytes.length;
  }

  /** Resolves when all that was appended by now would survive a power cut. */
  async sync(): Promise<void> {
    const run = this.#syncing.then(() => datasync(this.#fd));
    this.#syncing = run.catch(() => undefined);
    return run;
  }

  /** Cuts what a failed append may have left, makes the rest durable and lets go of the file. */
  async close(): Promise<void> {
    await this.#syncing;
    try {
      ftruncateSync(this.#fd, this.#size);
      await datasync(this.#fd);
    } finally {
      closeSync(this.#fd);
    }
  }
}
