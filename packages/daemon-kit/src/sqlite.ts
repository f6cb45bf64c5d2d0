import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync, type SQLInputValue } from 'node:sqlite';
import { Kysely, SqliteDialect } from 'kysely';
import { IngotError } from './errors.ts';

/** Steps of a schema, by name ("0001_builds"); run once each, in order of name. */
export type Migrations = Readonly<Record<string, readonly string[]>>;

/**
 * Opens (and makes) an embedded database: WAL, every commit on disk before it is answered. What
 * fails on a full disk rejects with IngotError disk_full.
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
          explained(() => statement.all(...bind(values))).map((row) => Object.assign({}, row)),
        run: (values: readonly unknown[]) => {
          // A full disk has rolled back by itself; failing here would hide why.
          if (sql === 'rollback' && !database.isTransaction) return nothingChanged;
          return explained(() => statement.run(...bind(values)));
        },
        iterate: (values: readonly unknown[]) => statement.iterate(...bind(values)),
      };
    },
  };
}

const nothingChanged = { changes: 0, lastInsertRowid: 0 };
/** SQLITE_FULL of sqlite3.h; the higher bits say more. */
const fullCode = 13;

/** @throws IngotError disk_full when that is why it fails. */
function explained<T>(step: () => T): T {
  try {
    return step();
  } catch (cause) {
    const code = (cause as { errcode?: unknown }).errcode;
    if (typeof code !== 'number' || (code & 0xff) !== fullCode) throw cause;
    throw new IngotError('disk_full', 'the disk of the data directory is full; nothing was done', {
      remedy: 'free space there, then try again',
      cause,
    });
  }
}

function bind(values: readonly unknown[]): SQLInputValue[] {
  return values as SQLInputValue[];
}
