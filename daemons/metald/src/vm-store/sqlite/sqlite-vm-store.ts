import { openSqlite, type Migrations } from '@ingot/daemon-kit';
import { type Kysely, sql } from 'kysely';
import { isVisible, type Vm } from '../../domain/vm.ts';
import type { VmQuery, VmStore } from '../vm-store.ts';

interface Tables {
  host: { id: string };
  vm: {
    id: string;
    tenant_id: string;
    deployment_id: string;
    visible: number;
    /** 0 for a DELETED VM for which nothing is left to do. */
    unsettled: number;
    created_at_ms: number;
    deleted_at_ms: number | null;
    /** The whole VM as JSON; the columns above are for finding it. */
    body: string;
  };
}

const migrations: Migrations = {
  '0001_vms': [
    'CREATE TABLE host (id TEXT PRIMARY KEY) STRICT',
    `CREATE TABLE vm (
      id TEXT PRIMARY KEY,
      tenant_id TEXT NOT NULL,
      deployment_id TEXT NOT NULL,
      visible INTEGER NOT NULL,
      unsettled INTEGER NOT NULL,
      created_at_ms INTEGER NOT NULL,
      deleted_at_ms INTEGER,
      body TEXT NOT NULL
    ) STRICT`,
    'CREATE INDEX vm_unsettled ON vm (id) WHERE unsettled = 1',
    'CREATE INDEX vm_oldest ON vm (created_at_ms, id)',
  ],
};

/** The VMs in one SQLite file. */
export class SqliteVmStore implements VmStore {
  readonly hostId: string;
  readonly #database: Kysely<Tables>;

  private constructor(database: Kysely<Tables>, hostId: string) {
    this.#database = database;
    this.hostId = hostId;
  }

  /**
   * @param path - the file, or ":memory:".
   * @param newHostId - becomes the host's id when the store is new.
   */
  static async open(path: string, newHostId: string): Promise<SqliteVmStore> {
    const database = openSqlite<Tables>(path, migrations);
    const known = await database.selectFrom('host').select('id').executeTakeFirst();
    if (!known) await database.insertInto('host').values({ id: newHostId }).execute();
    return new SqliteVmStore(database, known?.id ?? newHostId);
  }

  async get(id: string): Promise<Vm | undefined> {
    const row = await this.#database
      .selectFrom('vm')
      .select('body')
      .where('id', '=', id)
      .executeTakeFirst();
    return row && parse(row);
  }

  async put(vm: Vm): Promise<void> {
    const row = {
      visible: isVisible(vm) ? 1 : 0,
      unsettled: vm.state !== 'deleted' || vm.assetsHeld || vm.runOpen ? 1 : 0,
      deleted_at_ms: vm.deletedAtMs ?? null,
      body: JSON.stringify(vm),
    };
    await this.#database
      .insertInto('vm')
      .values({
        id: vm.id,
        tenant_id: vm.spec.tenantId,
        deployment_id: vm.spec.deploymentId,
        created_at_ms: vm.createdAtMs,
        ...row,
      })
      .onConflict((conflict) => conflict.column('id').doUpdateSet(row))
      .execute();
  }

  async remove(id: string): Promise<void> {
    await this.#database.deleteFrom('vm').where('id', '=', id).execute();
  }

  async unsettled(): Promise<Vm[]> {
    const rows = await this.#database
      .selectFrom('vm')
      .select('body')
      .where('unsettled', '=', 1)
      .execute();
    return rows.map(parse);
  }

  async list({ tenantId, deploymentId, after, limit }: VmQuery): Promise<Vm[]> {
    let query = this.#database.selectFrom('vm').select('body').where('visible', '=', 1);
    if (tenantId !== '') query = query.where('tenant_id', '=', tenantId);
    if (deploymentId !== '') query = query.where('deployment_id', '=', deploymentId);
    if (after) {
      query = query.where(sql<boolean>`(created_at_ms, id) > (${after.createdAtMs}, ${after.id})`);
    }
    const rows = await query.orderBy('created_at_ms').orderBy('id').limit(limit).execute();
    return rows.map(parse);
  }

  async forgetDeleted(beforeMs: number, keep: number): Promise<void> {
    const newest = this.#database
      .selectFrom('vm')
      .select('id')
      .where('deleted_at_ms', '>=', beforeMs)
      .orderBy('deleted_at_ms', 'desc')
      .limit(keep);
    await this.#database
      .deleteFrom('vm')
      .where('unsettled', '=', 0)
      .where('id', 'not in', newest)
      .execute();
  }

  async close(): Promise<void> {
    await this.#database.destroy();
  }
}

function parse(row: { body: string }): Vm {
  return JSON.parse(row.body) as Vm;
}
