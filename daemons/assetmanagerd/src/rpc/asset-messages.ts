import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { asset as proto } from '@ingot/contracts';
import { IngotError } from '@ingot/daemon-kit';
import type { PreparedAsset } from '../actions/prepare-assets.ts';
import type { Asset, AssetStatus, AssetType } from '../domain/asset.ts';
import type { Lease } from '../domain/lease.ts';

const { AssetStatus: Status, AssetType: Type } = proto;

const types = {
  kernel: Type.KERNEL,
  initrd: Type.INITRD,
  rootfs: Type.ROOTFS,
} as const satisfies Record<AssetType, proto.AssetType>;

const statuses = {
  // Nobody outside sees it.
  writing: Status.UNSPECIFIED,
  available: Status.AVAILABLE,
  deleting: Status.DELETING,
} as const satisfies Record<AssetStatus, proto.AssetStatus>;

/** The type in a message; undefined for UNSPECIFIED. */
export function typeOfMessage(type: proto.AssetType): AssetType | undefined {
  switch (type) {
    case Type.KERNEL:
      return 'kernel';
    case Type.INITRD:
      return 'initrd';
    case Type.ROOTFS:
      return 'rootfs';
    default:
      return undefined;
  }
}

/** @throws IngotError invalid_argument for UNSPECIFIED */
export function requiredTypeOfMessage(type: proto.AssetType): AssetType {
  const found = typeOfMessage(type);
  if (found === undefined) throw new IngotError('invalid_argument', 'the asset needs a type');
  return found;
}

export function assetMessage(asset: Asset): proto.Asset {
  return create(proto.AssetSchema, {
    id: asset.id,
    name: asset.name,
    type: types[asset.type],
    status: statuses[asset.status],
    sizeBytes: BigInt(asset.sizeBytes),
    sha256: asset.sha256,
    labels: { ...asset.labels },
    createdAt: timestampFromMs(asset.createdAtMs),
    lastUsedAt: timestampFromMs(asset.lastUsedAtMs),
    leaseCount: asset.leaseCount,
  });
}

export function leaseMessage(lease: Lease): proto.Lease {
  return create(proto.LeaseSchema, {
    id: lease.id,
    assetId: lease.assetId,
    holder: lease.holder,
    expiresAt: timestampFromMs(lease.expiresAtMs),
  });
}

export function preparedMessage({
  file,
  path,
  lease,
}: PreparedAsset): MessageInitShape<typeof proto.PreparedAssetSchema> {
  return {
    assetId: file.assetId,
    type: types[file.type],
    path,
    sha256: file.sha256,
    lease: leaseMessage(lease),
  };
}
