import { type Migrations, openSqlite } from '@ingot/daemon-kit';
import type { Generated, Insertable, Kysely, Selectable, Updateable } from 'kysely';
import { type Build, type BuildLogLine, formatVersion } from '../../domain/build.ts';
import type { RunConfig } from '../../domain/image-config.ts';
import type { BuildPatch, BuildStore } from '../build-store.ts';

interface BuildTable {
  sequence: Generated<number>;
  id: string;
  tenant_id: string;
  image: string;
  idempotency_key: string;
  state: string;
  step: string | null;
  attempts: number;
  resolved_image: string;
  config: string | null;
  rootfs_asset_id: string;
  failure: string | null;
  cached: number;
  format_version: number;
  created_at_ms: number;
  finished_at_ms: number | null;
}

interface LogTable {
  build_id: string;
  number: number;
  at_ms: number;
  step: string;
  line: string;
}

interface Tables {
  build: BuildTable;
  build_log: LogTable;
}

const migrations: Migrations = {
  '0001_builds': [
    `CREATE TABLE build (
      sequence INTEGER PRIMARY KEY AUTOINCREMENT,
      id TEXT NOT NULL UNIQUE,
      tenant_id TEXT NOT NULL,
      image TEXT NOT NULL,
      idempotency_key TEXT NOT NULL,
      state TEXT NOT NULL,
      step TEXT,
      attempts INTEGER NOT NULL,
      resolved_image TEXT NOT NULL,
      config TEXT,
      rootfs_asset_id TEXT NOT NULL,
      failure TEXT,
      cached INTEGER NOT NULL,
      format_version INTEGER NOT NULL,
      created_at_ms INTEGER NOT NULL,
      finished_at_ms INTEGER,
      UNIQUE (tenant_id, idempotency_key)
    ) STRICT`,
    'CREATE INDEX build_state ON build (state)',
    'CREATE INDEX build_image ON build (tenant_id, resolved_image)',
    `CREATE TABLE build_log (
      build_id TEXT NOT NULL REFERENCES build (id) ON DELETE CASCADE,
      number INTEGER NOT NULL,
      at_ms INTEGER NOT NULL,
      step TEXT NOT NULL,
      line TEXT NOT NULL,
      PRIMARY KEY (build_id, number)
    ) STRICT, WITHOUT ROWID`,
  ],
};

const maxLogLines = 2000;
const maxLineChars = 1000;

export class SqliteBuildStore implements BuildStore {
  readonly #db: Kysely<Tables>;

  /** @param path - the database file, or ":memory:". */
  constructor(path: string) {
    this.#db = openSqlite<Tables>(path, migrations);
  }

  async add(build: Parameters<BuildStore['add']>[0]): Promise<Build> {
    const row: Insertable<BuildTable> = {
      id: build.id,
      tenant_id: build.tenantId,
      image: build.image,
      idempotency_key: build.idempotencyKey,
      state: 'queued',
      step: null,
      attempts: 0,
      resolved_image: '',
      config: null,
      rootfs_asset_id: '',
      failure: null,
      cached: 0,
      format_version: formatVersion,
      created_at_ms: build.createdAtMs,
      finished_at_ms: null,
    };
    await this.#db
      .insertInto('build')
      .values(row)
      .onConflict((conflict) => conflict.columns(['tenant_id', 'idempotency_key']).doNothing())
      .execute();
    const found = await this.#db
      .selectFrom('build')
      .selectAll()
      .where('tenant_id', '=', build.tenantId)
      .where('idempotency_key', '=', build.idempotencyKey)
      .executeTakeFirstOrThrow();
    return toBuild(found);
  }

  async find(id: string): Promise<Build | undefined> {
    const query = this.#db.selectFrom('build').selectAll().where('id', '=', id);
    const row = await query.executeTakeFirst();
    return row && toBuild(row);
  }

  async list(query: Parameters<BuildStore['list']>[0]): Promise<readonly Build[]> {
    let select = this.#db.selectFrom('build').selectAll().orderBy('sequence', 'desc');
    if (query.tenantId !== undefined) select = select.where('tenant_id', '=', query.tenantId);
    if (query.before !== undefined) select = select.where('sequence', '<', query.before);
    return (await select.limit(query.limit).execute()).map(toBuild);
  }

  async unfinished(): Promise<readonly Build[]> {
    const rows = await this.#db
      .selectFrom('build')
      .selectAll()
      .where('state', 'in', ['queued', 'running'])
      .orderBy('sequence')
      .execute();
    return rows.map(toBuild);
  }

  async findReusable(query: Parameters<BuildStore['findReusable']>[0]): Promise<Build | undefined> {
    const row = await this.#db
      .selectFrom('build')
      .selectAll()
      .where('tenant_id', '=', query.tenantId)
      .where('resolved_image', '=', query.resolvedImage)
      .where('format_version', '=', query.formatVersion)
      .where('state', '=', 'succeeded')
      .where('cached', '=', 0)
      .orderBy('sequence', 'desc')
      .executeTakeFirst();
    return row && toBuild(row);
  }

  async update(id: string, patch: BuildPatch): Promise<void> {
    await this.#db.updateTable('build').set(toColumns(patch)).where('id', '=', id).execute();
  }

  async appendLog(id: string, line: Omit<BuildLogLine, 'number'>): Promise<void> {
    await this.#db.transaction().execute(async (transaction) => {
      const { last } = await transaction
        .selectFrom('build_log')
        .select(({ fn }) => fn.max('number').as('last'))
        .where('build_id', '=', id)
        .executeTakeFirstOrThrow();
      const number = (last ?? 0) + 1;
      if (number > maxLogLines) return;
      const text = line.line.slice(0, maxLineChars);
      await transaction
        .insertInto('build_log')
        .values({ build_id: id, number, at_ms: line.atMs, step: line.step, line: text })
        .execute();
    });
  }

  async readLog(id: string, after: number, limit: number): Promise<readonly BuildLogLine[]> {
    const rows = await this.#db
      .selectFrom('build_log')
      .selectAll()
      .where('build_id', '=', id)
      .where('number', '>', after)
      .orderBy('number')
      .limit(limit)
      .execute();
    return rows.map((row) => ({
      number: row.number,
      atMs: row.at_ms,
      step: row.step as BuildLogLine['step'],
      line: row.line,
    }));
  }

  async close(): Promise<void> {
    await this.#db.destroy();
  }
}

function toColumns(patch: BuildPatch): Updateable<BuildTable> {
  const { state, step, attempts, resolvedImage, config, rootfsAssetId, failure, cached } = patch;
  return {
    ...(state !== undefined && { state }),
    ...(step !== undefined && { step }),
    ...(attempts !== undefined && { attempts }),
    ...(resolvedImage !== undefined && { resolved_image: resolvedImage }),
    ...(config !== undefined && { config: JSON.stringify(config) }),
    ...(rootfsAssetId !== undefined && { rootfs_asset_id: rootfsAssetId }),
    ...(failure !== undefined && { failure: JSON.stringify(failure) }),
    ...(cached !== undefined && { cached: cached ? 1 : 0 }),
    ...(patch.finishedAtMs !== undefined && { finished_at_ms: patch.finishedAtMs }),
  };
}

function toBuild(row: Selectable<BuildTable>): Build {
  return {
    id: row.id,
    sequence: row.sequence,
    tenantId: row.tenant_id,
    image: row.image,
    idempotencyKey: row.idempotency_key,
    state: row.state as Build['state'],
    step: (row.step ?? undefined) as Build['step'],
    attempts: row.attempts,
    resolvedImage: row.resolved_image,
    config: row.config === null ? undefined : (JSON.parse(row.config) as RunConfig),
    rootfsAssetId: row.rootfs_asset_id,
    failure: row.failure === null ? undefined : (JSON.parse(row.failure) as Build['failure']),
    cached: row.cached === 1,
    createdAtMs: row.created_at_ms,
    finishedAtMs: row.finished_at_ms ?? undefined,
  };
}
