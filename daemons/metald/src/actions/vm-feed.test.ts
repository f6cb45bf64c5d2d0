import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Vm } from '../domain/vm.ts';
import { VmFeed } from './vm-feed.ts';

const vm = (id: string, bootEpoch: number): Vm => ({ id, bootEpoch }) as Vm;

test('no change is missed, and a slow reader gets the newest of each VM', async () => {
  const feed = new VmFeed();
  const stop = new AbortController();
  const snapshot = async (): Promise<Vm[]> => {
    const found = [vm('a', 1), vm('b', 1)];
    // Changes while the snapshot is on its way are newer than it.
    feed.publish(vm('a', 2));
    return found;
  };
  const watch = feed.watch(snapshot, (id) => id !== 'hidden', stop.signal);
  const next = async () => {
    const { value } = await watch.next();
    return value && [value.id, value.bootEpoch];
  };
  assert.deepEqual(await next(), ['b', 1]);
  assert.deepEqual(await next(), ['a', 2]);
  for (let epoch = 3; epoch < 100; epoch++) feed.publish(vm('a', epoch));
  feed.publish(vm('hidden', 1));
  feed.publish(vm('b', 2));
  assert.deepEqual(await next(), ['a', 99]);
  assert.deepEqual(await next(), ['b', 2]);
  const waiting = next();
  stop.abort();
  assert.equal(await waiting, undefined);
});
