import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf, IngotError } from '@ingot/daemon-kit/client';
import { z } from 'zod';
import { isAlive, type ProcessRef, processRefSchema } from './process-ref.ts';

const childSchema = z.object({
  ...processRefSchema.shape,
  startedAtUnixMs: z.number(),
  /** How often it died and was started again. */
  restarts: z.number().int(),
  /** False once it died too often to be started again. */
  running: z.boolean(),
});
/** What `ingot up` notes about a process it started: run/<name>.json. */
export type ChildRecord = z.infer<typeof childSchema>;

const upSchema = z.object({
  ...processRefSchema.shape,
  phase: z.enum(['starting', 'ready', 'stopping']),
  /** Where the running instance is reached; settings may have changed since. */
  listen: z.record(z.string(), z.string()),
});
/** What `ingot up` notes about itself: run/up.json, which is its lock too. */
export type UpRecord = z.infer<typeof upSchema>;

/** The files in the data directory's run/: who runs, for `status`, `down` and the next `up`. */
export class RunState {
  readonly #dir: string;

  constructor(dataDir: string) {
    this.#dir = join(dataDir, 'run');
  }

  /**
   * Takes the data directory for this process; a lock whose process is gone is taken over.
   *
   * @throws IngotError illegal_state when another `ingot up` runs there.
   */
  lock(record: UpRecord): void {
    mkdirSync(this.#dir, { recursive: true, mode: 0o700 });
    const draft = this.#path(`up.${record.pid}`);
    writeFileSync(draft, JSON.stringify(record));
    try {
      for (;;) {
        try {
          linkSync(draft, this.#path('up'));
          return;
        } catch (error) {
          if (errnoOf(error) !== 'EEXIST') throw error;
        }
        const other = this.up();
        if (other && isAlive(other)) {
          throw new IngotError(
            'illegal_state',
            `Ingot already runs on ${join(this.#dir, '..')} (process ${other.pid})`,
            { remedy: '`ingot status` shows it, `ingot down` ends it; --data-dir takes another' },
          );
        }
        this.#removeStaleLock(record.pid, other);
      }
    } finally {
      rmSync(draft, { force: true });
    }
  }

  /** Moves the stale lock aside; when that was a newer one after all, it is put back. */
  #removeStaleLock(pid: number, stale: UpRecord | undefined): void {
    const aside = this.#path(`up.stale.${pid}`);
    try {
      renameSync(this.#path('up'), aside);
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return;
      throw error;
    }
    const moved = this.#read(`up.stale.${pid}`, upSchema);
    if (moved && moved.pid !== stale?.pid && isAlive(moved)) {
      linkSync(aside, this.#path('up'));
    }
    rmSync(aside, { force: true });
  }

  update(record: UpRecord): void {
    this.#write('up', record);
  }

  unlock(): void {
    rmSync(this.#path('up'), { force: true });
  }

  /** The `ingot up` that has or had this data directory; check that its process is alive. */
  up(): UpRecord | undefined {
    return this.#read('up', upSchema);
  }

  child(name: string): ChildRecord | undefined {
    return this.#read(name, childSchema);
  }

  writeChild(name: string, record: ChildRecord): void {
    this.#write(name, record);
  }

  removeChild(name: string): void {
    rmSync(this.#path(name), { force: true });
  }

  #path(name: string): string {
    return join(this.#dir, `${name}.json`);
  }

  #write(name: string, value: unknown): void {
    const path = this.#path(name);
    writeFileSync(`${path}.tmp`, JSON.stringify(value));
    renameSync(`${path}.tmp`, path);
  }

  /** Undefined for a file that is not there or that a crash left unreadable. */
  #read<T>(name: string, schema: z.ZodType<T>): T | undefined {
    try {
      return schema.parse(JSON.parse(readFileSync(this.#path(name), 'utf8')));
    } catch (error) {
      if (errnoOf(error) === 'EACCES') throw error;
      return undefined;
    }
  }
}

/** A record's process, if it still is the one it was written for. */
export function aliveProcess<T extends ProcessRef>(record: T | undefined): T | undefined {
  return record && isAlive(record) ? record : undefined;
}
