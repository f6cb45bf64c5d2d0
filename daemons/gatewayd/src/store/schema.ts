import { type Migrations, openSqlite } from '@ingot/daemon-kit';
import type { Kysely } from 'kysely';

/** Times are Unix ms; *_json columns hold the domain type of that name. */
export interface Tables {
  tenant: { id: string; name: string; created_at: number };
  api_key: {
    id: string;
    tenant_id: string;
    name: string;
    prefix: string;
    /** SHA-256 of the key, hex. The key itself is nowhere. */
    hash: string;
    admin: number;
    created_at: number;
    revoked_at: number | null;
  };
  deployment: {
    id: string;
    tenant_id: string;
    name: string;
    desired: string;
    newest_rollout: string;
    serving_rollout: string | null;
    failure_json: string | null;
    created_at: number;
    updated_at: number;
    /** Kept, because usage is billed by name after the deployment has gone. */
    deleted_at: number | null;
  };
  rollout: {
    id: string;
    deployment_id: string;
    revision: number;
    spec_json: string;
    phase: string;
    idempotency_key: string | null;
    deadline_at: number;
    build_id: string;
    resolved_image: string;
    rootfs_asset_id: string;
    image_config_json: string | null;
    build_lines: number;
    vm_id: string;
    last_error: string;
  };
  /** From before a VM is asked for until it is known to be gone. */
  vm: {
    id: string;
    deployment_id: string;
    rollout_id: string;
    endpoint: string;
    drain_until: number;
  };
  event: { rollout_id: string; seq: number; at: number; body_json: string };
}

export type Database = Kysely<Tables>;

const migrations: Migrations = {
  '0001_gateway': [
    `CREATE TABLE tenant (
      id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, created_at INTEGER NOT NULL) STRICT`,
    `CREATE TABLE api_key (
      id TEXT PRIMARY KEY, tenant_id TEXT NOT NULL REFERENCES tenant (id), name TEXT NOT NULL,
      prefix TEXT NOT NULL, hash TEXT NOT NULL UNIQUE, admin INTEGER NOT NULL,
      created_at INTEGER NOT NULL, revoked_at INTEGER) STRICT`,
    `CREATE TABLE deployment (
      id TEXT PRIMARY KEY, tenant_id TEXT NOT NULL REFERENCES tenant (id), name TEXT NOT NULL,
      desired TEXT NOT NULL, newest_rollout TEXT NOT NULL, serving_rollout TEXT, failure_json TEXT,
      created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, deleted_at INTEGER) STRICT`,
    // A name is a host name: one at a time over all tenants.
    `CREATE UNIQUE INDEX deployment_name ON deployment (name) WHERE deleted_at IS NULL`,
    `CREATE INDEX deployment_tenant ON deployment (tenant_id, name)`,
    `CREATE TABLE rollout (
      id TEXT PRIMARY KEY, deployment_id TEXT NOT NULL REFERENCES deployment (id),
      revision INTEGER NOT NULL, spec_json TEXT NOT NULL, phase TEXT NOT NULL, idempotency_key TEXT,
      deadline_at INTEGER NOT NULL, build_id TEXT NOT NULL, resolved_image TEXT NOT NULL,
      rootfs_asset_id TEXT NOT NULL, image_config_json TEXT, build_lines INTEGER NOT NULL,
      vm_id TEXT NOT NULL, last_error TEXT NOT NULL) STRICT`,
    `CREATE INDEX rollout_deployment ON rollout (deployment_id, idempotency_key)`,
    `CREATE TABLE vm (
      id TEXT PRIMARY KEY, deployment_id TEXT NOT NULL REFERENCES deployment (id),
      rollout_id TEXT NOT NULL REFERENCES rollout (id), endpoint TEXT NOT NULL,
      drain_until INTEGER NOT NULL) STRICT`,
    `CREATE INDEX vm_deployment ON vm (deployment_id)`,
    `CREATE TABLE event (
      rollout_id TEXT NOT NULL REFERENCES rollout (id), seq INTEGER NOT NULL, at INTEGER NOT NULL,
      body_json TEXT NOT NULL, PRIMARY KEY (rollout_id, seq)) STRICT, WITHOUT ROWID`,
  ],
};

/** Opens (and makes) the gateway's books. */
export function openDatabase(path: string): Database {
  return openSqlite<Tables>(path, migrations);
}
