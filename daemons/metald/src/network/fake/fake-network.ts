import type { Logger } from '@ingot/daemon-kit';
import type { Network, NetworkSlot } from '../network.ts';
import { SlotPool } from '../slot-pool.ts';

/** A network of the mind: slots are names and addresses only. Fails on command. */
export class FakeNetwork implements Network {
  /** Indexes whose slot exists now. */
  readonly made = new Set<number>();
  /** Thrown by the next making of a slot, once. */
  failNextMake: Error | undefined;
  /** Where every guest is said to be; a test can put its own server here. */
  readonly hostAddress: string | undefined;
  readonly #pool: SlotPool;

  constructor(options: { capacity: number; spare: number; logger: Logger; hostAddress?: string }) {
    this.hostAddress = options.hostAddress;
    this.#pool = new SlotPool({
      ...options,
      maker: {
        make: (index) => this.#make(index),
        destroy: async (index) => {
          this.made.delete(index);
        },
      },
    });
  }

  async start(inUse: ReadonlyMap<string, number>): Promise<void> {
    const adopted = new Map<string, NetworkSlot>();
    this.made.clear();
    for (const [vmId, index] of inUse) adopted.set(vmId, await this.#make(index));
    this.#pool.start(adopted);
  }

  take(vmId: string): Promise<NetworkSlot> {
    return this.#pool.take(vmId);
  }

  release(vmId: string): Promise<void> {
    return this.#pool.release(vmId);
  }

  stop(): Promise<void> {
    return this.#pool.stop();
  }

  async removeAll(): Promise<void> {
    this.made.clear();
  }

  async #make(index: number): Promise<NetworkSlot> {
    const failure = this.failNextMake;
    this.failNextMake = undefined;
    if (failure) throw failure;
    this.made.add(index);
    return {
      index,
      netns: `fake-${index}`,
      tap: 'tap0',
      guestMac: '02:16:0a:00:00:02',
      guestAddress: '172.30.0.2',
      guestPrefixLength: 30,
      gateway: '172.30.0.1',
      nameservers: [],
      hostAddress: this.hostAddress ?? `127.77.${index >> 8}.${index & 255}`,
      vethName: `fake${index}`,
    };
  }
}
