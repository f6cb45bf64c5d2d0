import { IngotError } from '@ingot/daemon-kit';

/** Each open stream is a file that the host looks at ten times a second. */
const maxPerTenant = 32;

/** How many log streams each tenant has open. */
export class LogStreams {
  readonly #open = new Map<string, number>();

  /**
   * Counts a stream as open until the answer is called, once.
   *
   * @throws IngotError rate_limited when the tenant has as many as it may.
   */
  open(tenantId: string): () => void {
    const open = this.#open.get(tenantId) ?? 0;
    if (open >= maxPerTenant) {
      throw new IngotError('rate_limited', `${open} log streams are open already`, {
        remedy: 'close one that is not needed',
      });
    }
    this.#open.set(tenantId, open + 1);
    return () => {
      const left = (this.#open.get(tenantId) ?? 1) - 1;
      if (left > 0) this.#open.set(tenantId, left);
      else this.#open.delete(tenantId);
    };
  }
}
