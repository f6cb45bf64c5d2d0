import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { explainDiskFull } from '../../domain/disk-full.ts';
import { missingAssets } from '../../domain/missing-assets.ts';
import type { AssetStore, StoredBytes, StoreEntry } from '../asset-store.ts';

type Step = 'write' | 'place' | 'remove' | 'list' | 'probe';

/** A store in memory that fails when told to. */
export class FakeAssetStore implements AssetStore {
  readonly #bytes = new Map<string, Buffer>();
  readonly #failures = new Map<Step, { error: unknown; afterBytes: number }>();

  /**
   * Makes the next call of the step fail, once.
   *
   * @param error - such as one with code ENOSPC; treated as the system's.
   * @param afterBytes - of a write, how many bytes are taken before it fails.
   */
  failAt(step: Step, error: unknown, afterBytes = 0): void {
    this.#failures.set(step, { error, afterBytes });
  }

  async write(id: string, bytes: AsyncIterable<Uint8Array>): Promise<StoredBytes> {
    const failure = this.#take('write');
    const chunks: Uint8Array[] = [];
    let sizeBytes = 0;
    for await (const chunk of bytes) {
      chunks.push(chunk);
      sizeBytes += chunk.length;
      if (failure && sizeBytes > failure.afterBytes) throw explainDiskFull(failure.error);
    }
    if (failure) throw explainDiskFull(failure.error);
    const whole = Buffer.concat(chunks);
    this.#bytes.set(id, whole);
    return { sizeBytes, sha256: createHash('sha256').update(whole).digest('hex') };
  }

  async place(id: string, path: string): Promise<void> {
    this.#failIfTold('place');
    const bytes = this.#bytes.get(id);
    if (!bytes) throw missingAssets([id]);
    await writeFile(path, bytes, { mode: 0o444, flag: 'wx' });
  }

  async remove(id: string): Promise<void> {
    this.#failIfTold('remove');
    this.#bytes.delete(id);
  }

  async list(): Promise<StoreEntry[]> {
    this.#failIfTold('list');
    return [...this.#bytes].map(([id, bytes]) => ({ id, sizeBytes: bytes.length, isWhole: true }));
  }

  async probe(): Promise<{ freeBytes: number }> {
    this.#failIfTold('probe');
    return { freeBytes: 2 ** 40 };
  }

  #take(step: Step): { error: unknown; afterBytes: number } | undefined {
    const failure = this.#failures.get(step);
    this.#failures.delete(step);
    return failure;
  }

  #failIfTold(step: Step): void {
    const failure = this.#take(step);
    if (failure) throw explainDiskFull(failure.error);
  }
}
