import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isIngotError } from '@ingot/daemon-kit';
import { checkMove, type Vm, type VmState } from './vm.ts';

const states: VmState[] = [
  'created',
  'booting',
  'running',
  'paused',
  'suspended',
  'stopping',
  'stopped',
  'failed',
  'deleted',
];

/** The line of docs on VM states, as pairs. */
const legal = new Set([
  'created booting',
  'booting running',
  'running paused',
  'paused running',
  'running suspended',
  'suspended running',
  'running stopping',
  'stopping stopped',
  'stopped booting',
]);

test('every pair of states is legal or refused as the contract says, naming the state', () => {
  for (const from of states) {
    for (const to of states) {
      const ended = from === 'deleted';
      const always = (to === 'failed' && from !== 'failed') || to === 'deleted';
      const vm = { id: 'x', state: from } as Vm;
      if (legal.has(`${from} ${to}`) || (always && !ended)) {
        checkMove(vm, to);
        continue;
      }
      assert.throws(
        () => checkMove(vm, to),
        (error) =>
          isIngotError(error, 'illegal_state') && error.message.includes(from.toUpperCase()),
        `${from} → ${to}`,
      );
    }
  }
});
