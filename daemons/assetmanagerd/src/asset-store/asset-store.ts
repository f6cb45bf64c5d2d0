/** What was stored, computed from the bytes as they went by. */
export interface StoredBytes {
  readonly sizeBytes: number;
  /** Lower-case hex. */
  readonly sha256: string;
}

/** Something under an asset's id: its bytes, or what an interrupted write left. */
export interface StoreEntry {
  readonly id: string;
  readonly sizeBytes: number;
  readonly isWhole: boolean;
}

/** Where the bytes of assets live, by asset id (a lower-case UUID). Bytes never change. */
export interface AssetStore {
  /**
   * Stores the bytes under a fresh id. They are durable, whole and read-only once it resolves;
   * nothing of them is left when it rejects.
   *
   * @throws IngotError disk_full
   */
  write(id: string, bytes: AsyncIterable<Uint8Array>): Promise<StoredBytes>;
  /**
   * Makes the bytes appear read-only (0444) at an absolute path of this host that is free.
   *
   * @throws IngotError asset_missing when there are no bytes under the id; disk_full
   */
  place(id: string, path: string): Promise<void>;
  /** Removes all there is under the id; nothing there is fine. Placed files stay. */
  remove(id: string): Promise<void>;
  /** Everything in the store, in no order. */
  list(): Promise<StoreEntry[]>;
  /** Writes and removes a probe. Rejects with the system's error when the store takes no bytes. */
  probe(): Promise<{ freeBytes: number }>;
}
