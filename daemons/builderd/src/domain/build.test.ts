import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Build, pickNext } from './build.ts';

function queued(...tenants: string[]): Build[] {
  return tenants.map((tenantId, sequence) => ({ tenantId, sequence }) as Build);
}

test('the tenant with the fewest running builds goes first, then who waited longest', () => {
  assert.equal(pickNext([], ['a']), undefined);
  assert.equal(pickNext(queued('a', 'b'), [])?.sequence, 0);
  assert.equal(pickNext(queued('a', 'a', 'b'), ['a'])?.sequence, 2);
  assert.equal(pickNext(queued('a', 'a', 'b', 'c'), ['a', 'b'])?.sequence, 3);
  assert.equal(pickNext(queued('a', 'b'), ['a', 'b'])?.sequence, 0);
});
