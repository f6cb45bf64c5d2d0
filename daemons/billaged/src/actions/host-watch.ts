import type { Heartbeat } from '../domain/run.ts';
import type { UsageStore } from '../usage-store/usage-store.ts';
import type { RunBook } from './run-book.ts';

/** The newest heartbeat of each host, as the store has it. */
export class HostWatch {
  readonly #store: UsageStore;
  readonly #newest = new Map<string, Heartbeat>();

  private constructor(store: UsageStore) {
    this.#store = store;
  }

  static async load(store: UsageStore): Promise<HostWatch> {
    const watch = new HostWatch(store);
    for (const heartbeat of await store.listHeartbeats()) {
      watch.#newest.set(heartbeat.hostId, heartbeat);
    }
    return watch;
  }

  newest(): Heartbeat[] {
    return [...this.#newest.values()];
  }

  /** Takes a heartbeat in; one that is older than the newest known changes nothing. */
  async record(beat: Omit<Heartbeat, 'allKnownAtMs'>, book: RunBook): Promise<void> {
    const before = this.#newest.get(beat.hostId);
    if (before && before.atMs >= beat.atMs) return;
    let allKnown = true;
    for (const run of beat.runs) {
      allKnown &&= await book.knows({ ...run, hostId: beat.hostId });
    }
    const heartbeat = { ...beat, allKnownAtMs: allKnown ? beat.atMs : before?.allKnownAtMs };
    await this.#store.putHeartbeat(heartbeat);
    this.#newest.set(beat.hostId, heartbeat);
  }
}
