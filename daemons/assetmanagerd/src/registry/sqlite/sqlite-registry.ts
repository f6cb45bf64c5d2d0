import { openSqlite } from '@ingot/daemon-kit';
import { type Kysely, type Selectable, sql, type Transaction } from 'kysely';
import { type Asset, defaultLabel } from '../../domain/asset.ts';
import type { Lease } from '../../domain/lease.ts';
import type {
  AssetDraft,
  AssetQuery,
  AssetRegistry,
  DroppedLeases,
  WantedLease,
} from '../registry.ts';
import { type RegistryTables, registryMigrations } from './schema.ts';

/** The registry in one SQLite file. */
export class SqliteRegistry implements AssetRegistry {
  readonly #database: Kysely<RegistryTables>;

  /** @param path - the file, or ":memory:". */
  constructor(path: string) {
    this.#database = openSqlite<RegistryTables>(path, registryMigrations);
  }

  async begin(draft: AssetDraft): Promise<void> {
    const labels = Object.entries(draft.labels).map(([key, value]) => ({
      asset_id: draft.id,
      key,
      value,
    }));
    await this.#database.transaction().execute(async (trx) => {
      await trx
        .insertInto('asset')
        .values({
          id: draft.id,
          name: draft.name,
          type: draft.type,
          status: 'writing',
          size_bytes: 0,
          sha256: '',
          idempotency_key: draft.idempotencyKey,
          inbox_file: draft.inboxFile ?? null,
          created_at_ms: draft.createdAtMs,
          last_used_at_ms: draft.createdAtMs,
        })
        .execute();
      if (labels.length > 0) await trx.insertInto('label').values(labels).execute();
    });
  }

  async commit(id: string, stored: { sizeBytes: number; sha256: string }): Promise<void> {
    await this.#database
      .updateTable('asset')
      .set({ status: 'available', size_bytes: stored.sizeBytes, sha256: stored.sha256 })
      .where('id', '=', id)
      .where('status', '=', 'writing')
      .execute();
  }

  async forgetInboxFile(id: string): Promise<void> {
    await this.#database
      .updateTable('asset')
      .set({ inbox_file: null })
      .where('id', '=', id)
      .execute();
  }

  async pendingInboxFiles(): Promise<{ id: string; inboxFile: string }[]> {
    const rows = await this.#database
      .selectFrom('asset')
      .select(['id', 'inbox_file'])
      .where('status', '!=', 'writing')
      .where('inbox_file', 'is not', null)
      .execute();
    return rows.map((row) => ({ id: row.id, inboxFile: row.inbox_file ?? '' }));
  }

  async markDeleting(id: string): Promise<'marked' | 'leased' | 'absent'> {
    return this.#database.transaction().execute(async (trx) => {
      const asset = await trx
        .selectFrom('asset')
        .select('status')
        .where('id', '=', id)
        .where('status', '!=', 'writing')
        .executeTakeFirst();
      if (!asset) return 'absent';
      const lease = await trx
        .selectFrom('lease')
        .select('id')
        .where('asset_id', '=', id)
        .limit(1)
        .executeTakeFirst();
      if (lease) return 'leased';
      await trx.updateTable('asset').set({ status: 'deleting' }).where('id', '=', id).execute();
      return 'marked';
    });
  }

  async forget(id: string): Promise<void> {
    await this.#database.deleteFrom('asset').where('id', '=', id).execute();
  }

  async find(id: string, nowMs: number): Promise<Asset | undefined> {
    const rows = await this.#assets(nowMs).where('asset.id', '=', id).execute();
    return (await this.#withLabels(rows))[0];
  }

  async findByKey(idempotencyKey: string, nowMs: number): Promise<Asset | undefined> {
    const rows = await this.#assets(nowMs)
      .where('asset.idempotency_key', '=', idempotencyKey)
      .execute();
    return (await this.#withLabels(rows))[0];
  }

  async list({ type, labels, after, limit }: AssetQuery, nowMs: number): Promise<Asset[]> {
    let query = this.#assets(nowMs).where('asset.status', '!=', 'writing');
    if (type !== undefined) query = query.where('asset.type', '=', type);
    for (const [key, value] of Object.entries(labels)) {
      query = query.where((where) =>
        where.exists(
          where
            .selectFrom('label')
            .select('label.key')
            .whereRef('label.asset_id', '=', 'asset.id')
            .where('label.key', '=', key)
            .where('label.value', '=', value),
        ),
      );
    }
    if (after !== undefined) {
      query = query.where(
        sql<boolean>`(asset.created_at_ms, asset.id) < (${after.createdAtMs}, ${after.id})`,
      );
    }
    const rows = await query
      .orderBy('asset.created_at_ms', 'desc')
      .orderBy('asset.id', 'desc')
      .limit(limit)
      .execute();
    return this.#withLabels(rows);
  }

  async inventory(): Promise<Pick<Asset, 'id' | 'status' | 'sizeBytes'>[]> {
    return this.#database
      .selectFrom('asset')
      .select(['id', 'status', 'size_bytes as sizeBytes'])
      .execute();
  }

  async unused(usedBeforeMs: number): Promise<{ id: string; sizeBytes: number }[]> {
    const leased = this.#database.selectFrom('lease').select('asset_id');
    const defaults = this.#database
      .selectFrom('label')
      .select('asset_id')
      .where('key', '=', defaultLabel)
      .where('value', '=', 'true');
    return this.#database
      .selectFrom('asset')
      .select(['id', 'size_bytes as sizeBytes'])
      .where('status', '=', 'available')
      .where('last_used_at_ms', '<', usedBeforeMs)
      .where('id', 'not in', leased)
      .where('id', 'not in', defaults)
      .execute();
  }

  async makeDefault(ids: readonly string[]): Promise<void> {
    await this.#database.transaction().execute(async (trx) => {
      const types = trx.selectFrom('asset').select('type').where('id', 'in', ids);
      const ofTypes = trx.selectFrom('asset').select('id').where('type', 'in', types);
      await trx
        .deleteFrom('label')
        .where('key', '=', defaultLabel)
        .where('asset_id', 'in', ofTypes)
        .execute();
      const labels = ids.map((id) => ({ asset_id: id, key: defaultLabel, value: 'true' }));
      await trx.insertInto('label').values(labels).execute();
    });
  }

  async lease(
    holder: string,
    wanted: readonly WantedLease[],
    expiresAtMs: number,
    nowMs: number,
  ): Promise<{ missing: string[] } | { leases: Lease[] }> {
    const ids = wanted.map(({ assetId }) => assetId);
    return this.#database.transaction().execute(async (trx) => {
      const available = await trx
        .updateTable('asset')
        .set({ last_used_at_ms: nowMs })
        .where('id', 'in', ids)
        .where('status', '=', 'available')
        .returning('id')
        .execute();
      const missing = ids.filter((id) => !available.some((asset) => asset.id === id));
      if (missing.length > 0) return { missing };
      const leases: Lease[] = [];
      for (const want of wanted) leases.push(await upsertLease(trx, holder, want, expiresAtMs));
      return { leases };
    });
  }

  async leasesOf(holder: string): Promise<Lease[]> {
    const rows = await this.#database
      .selectFrom('lease')
      .selectAll()
      .where('holder', '=', holder)
      .orderBy('asset_id')
      .execute();
    return rows.map(toLease);
  }

  async renew(leaseIds: readonly string[], expiresAtMs: number, nowMs: number): Promise<Lease[]> {
    const rows = await this.#database
      .updateTable('lease')
      .set({ expires_at_ms: sql`max(expires_at_ms, ${expiresAtMs})` })
      .where('id', 'in', leaseIds)
      .where('expires_at_ms', '>', nowMs)
      .returningAll()
      .execute();
    return rows.map(toLease);
  }

  async dropLeases(leaseIds: readonly string[], nowMs: number): Promise<void> {
    if (leaseIds.length === 0) return;
    await this.#database.transaction().execute(async (trx) => {
      const rows = await trx
        .deleteFrom('lease')
        .where('id', 'in', leaseIds)
        .returning('asset_id')
        .execute();
      await touch(trx, rows, nowMs);
    });
  }

  async dropLeasesOf(holder: string, nowMs: number): Promise<number> {
    return this.#database.transaction().execute(async (trx) => {
      const rows = await trx
        .deleteFrom('lease')
        .where('holder', '=', holder)
        .returning('asset_id')
        .execute();
      await touch(trx, rows, nowMs);
      return rows.length;
    });
  }

  async dropExpiredOf(holder: string, nowMs: number): Promise<DroppedLeases> {
    return this.#database.transaction().execute(async (trx) => {
      const ofHolder = () => trx.deleteFrom('lease').where('holder', '=', holder);
      const expired = await ofHolder()
        .where('expires_at_ms', '<=', nowMs)
        .returning(['asset_id', 'staged_as'])
        .execute();
      const lostStaged = expired.some((lease) => lease.staged_as !== null);
      const siblings = lostStaged
        ? await ofHolder()
            .where('staged_as', 'is not', null)
            .returning(['asset_id', 'staged_as'])
            .execute()
        : [];
      await touch(trx, [...expired, ...siblings], nowMs);
      return { count: expired.length + siblings.length, lostStaged };
    });
  }

  async expiredHolders(nowMs: number): Promise<string[]> {
    const rows = await this.#database
      .selectFrom('lease')
      .select('holder')
      .distinct()
      .where('expires_at_ms', '<=', nowMs)
      .execute();
    return rows.map(({ holder }) => holder);
  }

  async stagedHolders(): Promise<string[]> {
    const rows = await this.#database
      .selectFrom('lease')
      .select('holder')
      .distinct()
      .where('staged_as', 'is not', null)
      .execute();
    return rows.map(({ holder }) => holder);
  }

  async close(): Promise<void> {
    await this.#database.destroy();
  }

  #assets(nowMs: number) {
    return this.#database
      .selectFrom('asset')
      .selectAll()
      .select((asset) =>
        asset
          .selectFrom('lease')
          .select(asset.fn.countAll<number>().as('count'))
          .whereRef('lease.asset_id', '=', 'asset.id')
          .where('lease.expires_at_ms', '>', nowMs)
          .as('lease_count'),
      );
  }

  async #withLabels(
    rows: readonly (Selectable<RegistryTables['asset']> & { lease_count: number | null })[],
  ): Promise<Asset[]> {
    if (rows.length === 0) return [];
    const ids = rows.map(({ id }) => id);
    const labels = await this.#database
      .selectFrom('label')
      .selectAll()
      .where('asset_id', 'in', ids)
      .execute();
    const byAsset = Map.groupBy(labels, (label) => label.asset_id);
    return rows.map((row) => ({
      id: row.id,
      name: row.name,
      type: row.type,
      status: row.status,
      sizeBytes: row.size_bytes,
      sha256: row.sha256,
      labels: Object.fromEntries((byAsset.get(row.id) ?? []).map(({ key, value }) => [key, value])),
      createdAtMs: row.created_at_ms,
      lastUsedAtMs: row.last_used_at_ms,
      leaseCount: row.lease_count ?? 0,
    }));
  }
}

async function upsertLease(
  trx: Transaction<RegistryTables>,
  holder: string,
  { assetId, newId, stagedAs }: WantedLease,
  expiresAtMs: number,
): Promise<Lease> {
  const row = await trx
    .insertInto('lease')
    .values({
      id: newId,
      asset_id: assetId,
      holder,
      staged_as: stagedAs ?? null,
      expires_at_ms: expiresAtMs,
    })
    .onConflict((conflict) =>
      conflict.columns(['holder', 'asset_id']).doUpdateSet({
        expires_at_ms: sql`max(lease.expires_at_ms, excluded.expires_at_ms)`,
        staged_as: sql`coalesce(excluded.staged_as, lease.staged_as)`,
      }),
    )
    .returningAll()
    .executeTakeFirstOrThrow();
  return toLease(row);
}

/** An asset counts as used until its last lease ends. */
async function touch(
  trx: Transaction<RegistryTables>,
  leases: readonly { asset_id: string }[],
  nowMs: number,
): Promise<void> {
  if (leases.length === 0) return;
  const ids = leases.map((lease) => lease.asset_id);
  await trx.updateTable('asset').set({ last_used_at_ms: nowMs }).where('id', 'in', ids).execute();
}

function toLease(row: Selectable<RegistryTables['lease']>): Lease {
  return {
    id: row.id,
    assetId: row.asset_id,
    holder: row.holder,
    expiresAtMs: row.expires_at_ms,
    stagedAs: row.staged_as ?? undefined,
  };
}
