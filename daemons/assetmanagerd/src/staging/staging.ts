import type { AssetType, StagedName } from '../domain/asset.ts';

export interface StagedFile {
  readonly name: StagedName;
  readonly assetId: string;
  readonly type: AssetType;
  readonly sizeBytes: number;
  readonly sha256: string;
}

/** One directory per holder with the files it leases, which the holder may read and not change. */
export interface Staging {
  /**
   * Makes the holder's directory with all the files and `metadata.json`, or leaves nothing. One
   * that is there and right stays as it is.
   *
   * @param holder - a UUID.
   * @throws IngotError asset_missing, disk_full
   */
  create(holder: string, files: readonly StagedFile[]): Promise<void>;
  /** Absolute path of a file of the holder. */
  pathOf(holder: string, name: StagedName): string;
  /** Removes the holder's directory; not there, or no UUID, is fine. */
  remove(holder: string): Promise<void>;
  /** Every holder something is there for, whole or not. */
  holders(): Promise<string[]>;
}
