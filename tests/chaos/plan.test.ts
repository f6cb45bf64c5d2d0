import assert from 'node:assert/strict';
import { test } from 'node:test';
import { drawPlan } from './plan.ts';

test('a seed is a plan: drawn again it is the same, longer it begins the same, another is another', () => {
  assert.deepEqual(drawPlan(7, 12), drawPlan(7, 12));
  assert.deepEqual(drawPlan(7, 20).slice(0, 12), drawPlan(7, 12));
  assert.notDeepEqual(drawPlan(8, 12), drawPlan(7, 12));
});
