/** What an asset is for a VM. */
export type AssetType = 'kernel' | 'initrd' | 'rootfs';

/**
 * Where an asset is in its life: `writing → available → deleting`, then gone. `writing` is the
 * intent before the bytes; nobody but assetmanagerd sees it.
 */
export type AssetStatus = 'writing' | 'available' | 'deleting';

export type Labels = Readonly<Record<string, string>>;

export interface Asset {
  /** A random UUID, lower-case. */
  readonly id: string;
  readonly name: string;
  readonly type: AssetType;
  readonly status: AssetStatus;
  /** 0 while writing. */
  readonly sizeBytes: number;
  /** Lower-case hex of the stored bytes; "" while writing. */
  readonly sha256: string;
  readonly labels: Labels;
  readonly createdAtMs: number;
  readonly lastUsedAtMs: number;
  /** Leases alive. */
  readonly leaseCount: number;
}

/** The label of the kernel and the initrd that VMs get unless they ask for others. */
export const defaultLabel = 'default';

/** The name a VM's staging directory has for an asset of the type. */
export const stagedNames = {
  kernel: 'vmlinux',
  initrd: 'initrd',
  rootfs: 'rootfs',
} as const satisfies Record<AssetType, string>;

export type StagedName = (typeof stagedNames)[AssetType];

/** Whether a repeated registration asks for what the first one made. */
export function isSameRegistration(
  asset: Pick<Asset, 'name' | 'type' | 'labels'>,
  wanted: Pick<Asset, 'name' | 'type' | 'labels'>,
): boolean {
  return (
    asset.name === wanted.name &&
    asset.type === wanted.type &&
    canonical(asset.labels) === canonical(wanted.labels)
  );
}

function canonical(labels: Labels): string {
  // The default label comes and goes after registration.
  const kept = Object.entries(labels).filter(([key]) => key !== defaultLabel);
  return JSON.stringify(kept.toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
