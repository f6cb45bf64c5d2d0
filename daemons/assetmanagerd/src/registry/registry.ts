import type { Asset, AssetType, Labels, StagedName } from '../domain/asset.ts';
import type { Lease } from '../domain/lease.ts';

export interface AssetDraft {
  readonly id: string;
  readonly name: string;
  readonly type: AssetType;
  readonly labels: Labels;
  /** Unique among all assets. */
  readonly idempotencyKey: string;
  /** The inbox file the bytes come from, to be removed once they are stored. */
  readonly inboxFile: string | undefined;
  readonly createdAtMs: number;
}

export interface AssetQuery {
  readonly type: AssetType | undefined;
  readonly labels: Labels;
  /** The last asset of the page before. */
  readonly after: { readonly createdAtMs: number; readonly id: string } | undefined;
  readonly limit: number;
}

export interface WantedLease {
  readonly assetId: string;
  /** The new lease's id, unless the holder has one on the asset. */
  readonly newId: string;
  readonly stagedAs: StagedName | undefined;
}

/** What happened to leases of a holder. */
export interface DroppedLeases {
  readonly count: number;
  /** Whether a staged file lost its lease. */
  readonly lostStaged: boolean;
}

/**
 * What assetmanagerd knows: assets, their labels and their leases. Every method is one transaction
 * that is durable when it resolves. `nowMs` tells which leases are alive.
 */
export interface AssetRegistry {
  /** Notes that bytes are about to be written: status `writing`. */
  begin(draft: AssetDraft): Promise<void>;
  /** The bytes are stored: `writing → available`. */
  commit(id: string, stored: { sizeBytes: number; sha256: string }): Promise<void>;
  /** The inbox file of the asset is gone. */
  forgetInboxFile(id: string): Promise<void>;
  /** Available assets whose inbox file was to be removed. */
  pendingInboxFiles(): Promise<{ id: string; inboxFile: string }[]>;
  /** `available → deleting` unless somebody has a lease on it, alive or not yet taken back. */
  markDeleting(id: string): Promise<'marked' | 'leased' | 'absent'>;
  /** Forgets an asset nobody leases, with its labels; unknown is fine. */
  forget(id: string): Promise<void>;

  /** Whatever its status. */
  find(id: string, nowMs: number): Promise<Asset | undefined>;
  findByKey(idempotencyKey: string, nowMs: number): Promise<Asset | undefined>;
  /** Available and deleting ones, newest first (then by id, falling). */
  list(query: AssetQuery, nowMs: number): Promise<Asset[]>;
  /** Ids with their status and size, of all assets. */
  inventory(): Promise<Pick<Asset, 'id' | 'status' | 'sizeBytes'>[]>;
  /** Available assets without any lease that were last used before the instant and are no default. */
  unused(usedBeforeMs: number): Promise<{ id: string; sizeBytes: number }[]>;
  /** Gives the assets the default label and takes it from all others of their types. */
  makeDefault(ids: readonly string[]): Promise<void>;

  /**
   * Leases all of the assets to the holder, or none. A lease the holder has on one already is kept
   * and lives at least until `expiresAtMs`.
   *
   * @returns the leases in the order asked for, or the ids that are not available.
   */
  lease(
    holder: string,
    wanted: readonly WantedLease[],
    expiresAtMs: number,
    nowMs: number,
  ): Promise<{ missing: string[] } | { leases: Lease[] }>;
  leasesOf(holder: string): Promise<Lease[]>;
  /** Makes those still alive live at least until `expiresAtMs`; returns them. */
  renew(leaseIds: readonly string[], expiresAtMs: number, nowMs: number): Promise<Lease[]>;
  dropLeases(leaseIds: readonly string[], nowMs: number): Promise<void>;
  dropLeasesOf(holder: string, nowMs: number): Promise<number>;
  /**
   * Drops the holder's leases that have run out. The staged ones stand and fall together: when one
   * has run out, all of them go.
   */
  dropExpiredOf(holder: string, nowMs: number): Promise<DroppedLeases>;
  /** Holders with a lease that has run out. */
  expiredHolders(nowMs: number): Promise<string[]>;
  /** Holders with a staged lease. */
  stagedHolders(): Promise<string[]>;
  close(): Promise<void>;
}
