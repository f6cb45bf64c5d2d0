import type { Migrations } from '@ingot/daemon-kit';
import type { AssetStatus, AssetType, StagedName } from '../../domain/asset.ts';

export interface RegistryTables {
  asset: {
    id: string;
    name: string;
    type: AssetType;
    status: AssetStatus;
    size_bytes: number;
    sha256: string;
    idempotency_key: string;
    inbox_file: string | null;
    created_at_ms: number;
    last_used_at_ms: number;
  };
  label: { asset_id: string; key: string; value: string };
  lease: {
    id: string;
    asset_id: string;
    holder: string;
    staged_as: StagedName | null;
    expires_at_ms: number;
  };
}

export const registryMigrations: Migrations = {
  '0001_assets': [
    `CREATE TABLE asset (
      id TEXT PRIMARY KEY,
      name TEXT NOT NULL,
      type TEXT NOT NULL CHECK (type IN ('kernel', 'initrd', 'rootfs')),
      status TEXT NOT NULL CHECK (status IN ('writing', 'available', 'deleting')),
      size_bytes INTEGER NOT NULL,
      sha256 TEXT NOT NULL,
      idempotency_key TEXT NOT NULL UNIQUE,
      inbox_file TEXT,
      created_at_ms INTEGER NOT NULL,
      last_used_at_ms INTEGER NOT NULL
    ) STRICT`,
    'CREATE INDEX asset_newest ON asset (created_at_ms DESC, id DESC)',
    `CREATE TABLE label (
      asset_id TEXT NOT NULL REFERENCES asset (id) ON DELETE CASCADE,
      key TEXT NOT NULL,
      value TEXT NOT NULL,
      PRIMARY KEY (asset_id, key)
    ) STRICT, WITHOUT ROWID`,
    'CREATE INDEX label_assets ON label (key, value)',
    `CREATE TABLE lease (
      id TEXT PRIMARY KEY,
      asset_id TEXT NOT NULL REFERENCES asset (id),
      holder TEXT NOT NULL,
      staged_as TEXT CHECK (staged_as IN ('vmlinux', 'initrd', 'rootfs')),
      expires_at_ms INTEGER NOT NULL,
      UNIQUE (holder, asset_id)
    ) STRICT`,
    'CREATE INDEX lease_asset ON lease (asset_id)',
    'CREATE INDEX lease_expiry ON lease (expires_at_ms)',
  ],
};
