import assert from 'node:assert/strict';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { explainDiskFull } from './disk-full.ts';

function thrownBy(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  return assert.fail('nothing was thrown');
}

test('a full file system, quota or database is disk_full with a remedy', () => {
  const database = new DatabaseSync(':memory:');
  database.exec('PRAGMA max_page_count = 2');
  const full = [
    Object.assign(new Error('write'), { code: 'ENOSPC' }),
    Object.assign(new Error('write'), { code: 'EDQUOT' }),
    thrownBy(() => database.exec('CREATE TABLE a (b); CREATE TABLE c (d)')),
  ];
  for (const error of full) {
    const explained = explainDiskFull(error) as { reason: string; remedy: string; cause: unknown };
    assert.equal(explained.reason, 'disk_full');
    assert.match(explained.remedy, /free space/);
    assert.equal(explained.cause, error);
  }
});

test('any other error stays what it is', () => {
  const other = Object.assign(new Error('no'), { code: 'EACCES' });
  assert.equal(explainDiskFull(other), other);
  const syntax = thrownBy(() => new DatabaseSync(':memory:').exec('nonsense'));
  assert.equal(explainDiskFull(syntax), syntax);
});
