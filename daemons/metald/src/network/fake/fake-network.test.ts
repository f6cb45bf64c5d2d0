import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLogger } from '@ingot/daemon-kit';
import { testNetwork } from '../conformance.ts';
import { FakeNetwork } from './fake-network.ts';

const logger = createLogger({ name: 'test', level: 'silent' });

testNetwork('fake network', () => {
  const make = (): FakeNetwork => new FakeNetwork({ capacity: 3, spare: 1, logger });
  return { network: make(), again: make };
});

test('a slot that could not be made is tried anew by the next take', async () => {
  const network = new FakeNetwork({ capacity: 1, spare: 0, logger });
  await network.start(new Map());
  network.failNextMake = new Error('no');
  await assert.rejects(network.take('a'), /no/);
  assert.equal((await network.take('a')).index, 0);
});

test('stopping leaves only the slots in use', async () => {
  const network = new FakeNetwork({ capacity: 8, spare: 2, logger });
  await network.start(new Map());
  const { index } = await network.take('a');
  await network.stop();
  assert.deepEqual([...network.made], [index]);
});
