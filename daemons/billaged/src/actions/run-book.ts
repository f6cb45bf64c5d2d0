import { IngotError, KeyedMutex } from '@ingot/daemon-kit';
import { type Run, runId, type RunKey, type RunRecord, stateOf } from '../domain/run.ts';
import type { UsageStore } from '../usage-store/usage-store.ts';

/**
 * The runs that are not COMPLETE, as the store has them, kept in memory so that a batch need not ask
 * where its run stands. Whatever it says was read from the store or written to it first: it never
 * runs ahead of what is durable.
 */
export class RunBook {
  readonly #store: UsageStore;
  readonly #mutex = new KeyedMutex();
  readonly #records = new Map<string, RunRecord>();
  /** Runs whose last write has an unknown outcome: to be read again before use. */
  readonly #doubtful = new Set<string>();

  private constructor(store: UsageStore) {
    this.#store = store;
  }

  /** Reads the unfinished runs. */
  static async load(store: UsageStore): Promise<RunBook> {
    const book = new RunBook(store);
    for (const record of await store.listUnfinishedRuns()) {
      // The store died between the last sample and the mark.
      if (record.stopped && stateOf(record) === 'COMPLETE') {
        await store.setComplete(record.run, record.stopped.lastSequence);
      }
      book.#put(record);
    }
    return book;
  }

  /**
   * Runs `change` on what is known of the run, adding it when it is new, while no other change of the
   * same run is under way. `change` writes to the store and resolves to the record after it; when it
   * rejects, the record is read again before its next use.
   *
   * @throws IngotError batch_conflict when the run is known to belong to somebody else.
   */
  change(run: Run, change: (record: RunRecord) => Promise<RunRecord>): Promise<RunRecord> {
    const id = runId(run);
    return this.#mutex.run(id, async () => {
      const before = await this.#readOrAdd(run);
      checkOwner(run, before.run);
      this.#doubtful.add(id);
      const after = await change(before);
      if (stateOf(after) === 'COMPLETE' && stateOf(before) !== 'COMPLETE' && after.stopped) {
        await this.#store.setComplete(after.run, after.stopped.lastSequence);
      }
      this.#put(after);
      this.#doubtful.delete(id);
      return after;
    });
  }

  /** Whether anything was ever heard of the run. */
  async knows(key: RunKey): Promise<boolean> {
    return this.#records.has(runId(key)) || (await this.#store.findRun(key)) !== undefined;
  }

  /** What is known of a run that is not COMPLETE. */
  find(key: RunKey): RunRecord | undefined {
    return this.#records.get(runId(key));
  }

  /** Every run that is not COMPLETE. */
  unfinished(): RunRecord[] {
    return [...this.#records.values()];
  }

  async #readOrAdd(run: Run): Promise<RunRecord> {
    const id = runId(run);
    const remembered = this.#records.get(id);
    if (remembered && !this.#doubtful.has(id)) return remembered;
    const stored = await this.#store.findRun(run);
    if (stored) return stored;
    await this.#store.addRun(run);
    return { run, startedAtMs: undefined, stopped: undefined, tail: undefined };
  }

  #put(record: RunRecord): void {
    if (stateOf(record) === 'COMPLETE') this.#records.delete(runId(record.run));
    else this.#records.set(runId(record.run), record);
  }
}

function checkOwner(claimed: Run, known: Run): void {
  if (claimed.tenantId === known.tenantId && claimed.deploymentId === known.deploymentId) return;
  throw new IngotError(
    'batch_conflict',
    `boot ${known.bootEpoch} of VM ${known.vmId} on ${known.hostId} is billed to deployment ` +
      `${known.deploymentId} of ${known.tenantId}, not to ${claimed.deploymentId} of ${claimed.tenantId}`,
  );
}
