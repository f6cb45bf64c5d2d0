import { timingSafeEqual } from 'node:crypto';
import { IngotError } from '@ingot/daemon-kit';
import type { Insertable, Selectable } from 'kysely';
import type { Database, Tables } from './schema.ts';

export interface Tenant {
  id: string;
  name: string;
  createdAt: number;
}

export interface ApiKey {
  id: string;
  tenantId: string;
  name: string;
  prefix: string;
  admin: boolean;
  createdAt: number;
  revokedAt: number | undefined;
}

/** Tenants and their keys. */
export class TenantStore {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /** @throws IngotError already_exists */
  async addTenant(tenant: Tenant): Promise<void> {
    const { numInsertedOrUpdatedRows } = await this.#db
      .insertInto('tenant')
      .values({ id: tenant.id, name: tenant.name, created_at: tenant.createdAt })
      .onConflict((conflict) => conflict.column('name').doNothing())
      .executeTakeFirstOrThrow();
    if (!numInsertedOrUpdatedRows) {
      throw new IngotError('already_exists', `there is a tenant ${tenant.name} already`);
    }
  }

  async findTenant(by: { id: string } | { name: string }): Promise<Tenant | undefined> {
    const query = this.#db.selectFrom('tenant').selectAll();
    const row = await (
      'id' in by ? query.where('id', '=', by.id) : query.where('name', '=', by.name)
    ).executeTakeFirst();
    return row && tenantOf(row);
  }

  /** By name; from the one after `after`. */
  async listTenants(after: string, limit: number): Promise<Tenant[]> {
    const rows = await this.#db
      .selectFrom('tenant')
      .selectAll()
      .where('name', '>', after)
      .orderBy('name')
      .limit(limit)
      .execute();
    return rows.map(tenantOf);
  }

  async addKey(key: ApiKey, hash: string): Promise<void> {
    const row: Insertable<Tables['api_key']> = {
      id: key.id,
      tenant_id: key.tenantId,
      name: key.name,
      prefix: key.prefix,
      hash,
      admin: key.admin ? 1 : 0,
      created_at: key.createdAt,
      revoked_at: null,
    };
    await this.#db.insertInto('api_key').values(row).execute();
  }

  /** The key with that hash, revoked or not. */
  async findKeyByHash(hash: string): Promise<ApiKey | undefined> {
    const row = await this.#db
      .selectFrom('api_key')
      .selectAll()
      .where('hash', '=', hash)
      .executeTakeFirst();
    if (!row || !timingSafeEqual(Buffer.from(row.hash), Buffer.from(hash))) return undefined;
    return keyOf(row);
  }

  async findKey(id: string): Promise<ApiKey | undefined> {
    const row = await this.#db
      .selectFrom('api_key')
      .selectAll()
      .where('id', '=', id)
      .executeTakeFirst();
    return row && keyOf(row);
  }

  /** By id; from the one after `after`. */
  async listKeys(tenantId: string, after: string, limit: number): Promise<ApiKey[]> {
    const rows = await this.#db
      .selectFrom('api_key')
      .selectAll()
      .where('tenant_id', '=', tenantId)
      .where('id', '>', after)
      .orderBy('id')
      .limit(limit)
      .execute();
    return rows.map(keyOf);
  }

  /** A key revoked before keeps its first time. */
  async revokeKey(id: string, at: number): Promise<void> {
    await this.#db
      .updateTable('api_key')
      .set({ revoked_at: at })
      .where('id', '=', id)
      .where('revoked_at', 'is', null)
      .execute();
  }

  /** Revokes all keys of the tenant with that name. */
  async revokeKeysNamed(tenantId: string, name: string, at: number): Promise<void> {
    await this.#db
      .updateTable('api_key')
      .set({ revoked_at: at })
      .where('tenant_id', '=', tenantId)
      .where('name', '=', name)
      .where('admin', '=', 1)
      .where('revoked_at', 'is', null)
      .execute();
  }
}

function tenantOf(row: Selectable<Tables['tenant']>): Tenant {
  return { id: row.id, name: row.name, createdAt: row.created_at };
}

function keyOf(row: Selectable<Tables['api_key']>): ApiKey {
  return {
    id: row.id,
    tenantId: row.tenant_id,
    name: row.name,
    prefix: row.prefix,
    admin: row.admin === 1,
    createdAt: row.created_at,
    revokedAt: row.revoked_at ?? undefined,
  };
}
