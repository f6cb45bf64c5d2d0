import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';

test('the house keeps its rules: npm run check', () => {
  const check = join(import.meta.dirname, 'check.ts');
  const { status, stdout } = spawnSync(process.execPath, [check], { encoding: 'utf8' });
  assert.equal(status, 0, stdout);
});
