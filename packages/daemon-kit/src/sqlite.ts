import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync, type SQLInputValue } from 'node:sqlite';
import { Kysely, SqliteDialect } from 'kysely';

/** Steps of a schema, by name ("0001_builds"); run once each, in order of name. */
export type Migrations = Readonly<Record<string, readonly string[]>>;

/**
 * Opens (and makes) an embedded database: WAL, every commit on disk before it is answered.
 *
 * @param path - the file, or ":memory:".
 */
export function openSqlite<DB>(path: string, migrations: Migrations): Kysely<DB> {
  if (path !== ':memory:') mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const database = new DatabaseSync(path);
  database.exec('PRAGMA journal_mode = WAL');
  database.exec('PRAGMA synchronous = FULL');
  database.exec('PRAGMA foreign_keys = ON');
  database.exec('PRAGMA busy_timeout = 5000');
  migrate(database, migrations);
  return new Kysely<DB>({ dialect: new SqliteDialect({ database: adapt(database) }) });
}

function migrate(database: DatabaseSync, migrations: Migrations): void {
  database.exec('CREATE TABLE IF NOT EXISTS migration (name TEXT PRIMARY KEY) STRICT');
  const done = new Set(
    database
      .prepare('SELECT name FROM migration')
      .all()
      .map((row) => row['name']),
  );
  for (const name of Object.keys(migrations).toSorted()) {
    if (done.has(name)) continue;
    database.exec('BEGIN IMMEDIATE');
    try {
      for (const statement of migrations[name] ?? []) database.exec(statement);
      database.prepare('INSERT INTO migration (name) VALUES (?)').run(name);
      database.exec('COMMIT');
    } catch (error) {
      database.exec('ROLLBACK');
      throw error;
    }
  }
}

/** node:sqlite in the shape Kysely's SQLite dialect expects. */
function adapt(database: DatabaseSync) {
  return {
    close: () => database.close(),
    prepare: (sql: string) => {
      const statement = database.prepare(sql);
      return {
        reader: statement.columns().length > 0,
        // Plain objects, as every caller expects of a row.
        all: (values: readonly unknown[]) =>
          statement.all(...bind(values)).map((row) => Object.assign({}, row)),
        run: (values: readonly unknown[]) => statement.run(...bind(values)),
        iterate: (values: readonly unknown[]) => statement.iterate(...bind(values)),
      };
    },
  };
}

function bind(values: readonly unknown[]): SQLInputValue[] {
  return values as SQLInputValue[];
}
