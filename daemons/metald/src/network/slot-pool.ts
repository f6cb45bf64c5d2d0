import { IngotError, type Logger } from '@ingot/daemon-kit';
import type { NetworkSlot } from './network.ts';

/** What a backend does for the pool. Both are idempotent; the pool calls neither twice at once for an index. */
export interface SlotMaker {
  make(index: number): Promise<NetworkSlot>;
  destroy(index: number): Promise<void>;
}

interface PoolOptions {
  maker: SlotMaker;
  /** Slots there can be at once. */
  capacity: number;
  /** How many unused slots to keep ready. */
  spare: number;
  logger: Logger;
}

/** Who has which slot, and the slots made ahead of need. */
export class SlotPool {
  readonly #options: PoolOptions;
  readonly #assigned = new Map<string, Promise<NetworkSlot>>();
  readonly #releasing = new Map<string, Promise<void>>();
  readonly #spares: NetworkSlot[] = [];
  readonly #busy = new Set<number>();
  #next = 0;
  #refill: Promise<void> | undefined;
  #stopped = true;

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  /** Takes up the slots of living VMs and begins to make spares. */
  start(adopted: ReadonlyMap<string, NetworkSlot>): void {
    for (const [vmId, slot] of adopted) {
      this.#busy.add(slot.index);
      this.#assigned.set(vmId, Promise.resolve(slot));
    }
    this.#stopped = false;
    this.#startRefill();
  }

  async take(vmId: string): Promise<NetworkSlot> {
    await this.#releasing.get(vmId);
    const known = this.#assigned.get(vmId);
    if (known) return known;
    const taken = this.#takeNew();
    this.#assigned.set(vmId, taken);
    try {
      return await taken;
    } catch (error) {
      this.#assigned.delete(vmId);
      throw error;
    } finally {
      this.#startRefill();
    }
  }

  async release(vmId: string): Promise<void> {
    const under = this.#releasing.get(vmId);
    if (under) return under;
    const taken = this.#assigned.get(vmId);
    if (!taken) return;
    const done = this.#release(vmId, taken).finally(() => this.#releasing.delete(vmId));
    this.#releasing.set(vmId, done);
    return done;
  }

  /** Ends the refilling and destroys the spares. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#refill;
    for (let slot = this.#spares.pop(); slot; slot = this.#spares.pop()) {
      await this.#destroy(slot.index);
    }
  }

  async #release(vmId: string, taken: Promise<NetworkSlot>): Promise<void> {
    const slot = await taken.catch(() => undefined);
    if (slot) await this.#destroy(slot.index);
    this.#assigned.delete(vmId);
    this.#startRefill();
  }

  async #destroy(index: number): Promise<void> {
    await this.#options.maker.destroy(index);
    this.#busy.delete(index);
  }

  async #takeNew(): Promise<NetworkSlot> {
    const spare = this.#spares.pop();
    if (spare) return spare;
    const index = this.#reserve();
    if (index !== undefined) return this.#make(index);
    // The last indexes may be on their way to becoming spares.
    await this.#refill;
    const late = this.#spares.pop();
    if (late) return late;
    throw new IngotError('host_full', `all ${this.#options.capacity} network slots are in use`, {
      remedy: 'delete VMs, raise the number of slots in the settings, or add a host',
    });
  }

  async #make(index: number): Promise<NetworkSlot> {
    try {
      return await this.#options.maker.make(index);
    } catch (error) {
      await this.#destroy(index).catch((cause: unknown) => {
        // The index stays taken: what is left of it must not become somebody's slot.
        this.#options.logger.error({ err: cause, index }, 'cannot clean up a half-made slot');
      });
      throw error;
    }
  }

  /** The next free index, round robin: a slot just left is the last to be used again. */
  #reserve(): number | undefined {
    const { capacity } = this.#options;
    for (let step = 0; step < capacity; step++) {
      const index = (this.#next + step) % capacity;
      if (this.#busy.has(index)) continue;
      this.#busy.add(index);
      this.#next = (index + 1) % capacity;
      return index;
    }
    return undefined;
  }

  #startRefill(): void {
    if (this.#stopped || this.#refill) return;
    this.#refill = this.#fill()
      .catch((error: unknown) => {
        this.#options.logger.warn({ err: error }, 'cannot make a network slot ahead of need');
      })
      .finally(() => {
        this.#refill = undefined;
      });
  }

  async #fill(): Promise<void> {
    while (!this.#stopped && this.#spares.length < this.#options.spare) {
      const index = this.#reserve();
      if (index === undefined) return;
      this.#spares.push(await this.#make(index));
    }
  }
}
