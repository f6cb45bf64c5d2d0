import type { StagedName } from './asset.ts';

/** A holder's claim on an asset. While it lives, the asset is not deleted. */
export interface Lease {
  readonly id: string;
  readonly assetId: string;
  readonly holder: string;
  /** Unix ms; at this instant it has run out. */
  readonly expiresAtMs: number;
  /** The file in the holder's staging directory; undefined for a lease without one. */
  readonly stagedAs: StagedName | undefined;
}

const defaultLeaseSeconds = 3600;

/** When a lease asked for now runs out; 0 seconds means an hour. */
export function leaseEndMs(nowMs: number, leaseSeconds: number): number {
  return nowMs + (leaseSeconds || defaultLeaseSeconds) * 1000;
}
