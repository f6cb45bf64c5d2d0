import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isIngotError } from '@ingot/daemon-kit';
import type { Network } from './network.ts';

/**
 * What every network must do.
 *
 * @param open - a network of three slots, one of them kept spare, not started; the same state
 *   each time within one test.
 */
export function testNetwork(
  name: string,
  open: () => { network: Network; again: () => Network },
  options: { skip?: string | false } = {},
): void {
  const check = (
    title: string,
    body: (network: Network, again: () => Network) => Promise<void>,
  ): void => {
    test(`${name}: ${title}`, { skip: options.skip ?? false }, async () => {
      const { network, again } = open();
      try {
        await body(network, again);
      } finally {
        await network.stop();
        await again().removeAll();
      }
    });
  };

  check(
    'gives one VM the same slot until it is released, and no two VMs one slot',
    async (network) => {
      await network.start(new Map());
      const [first, same, other] = await Promise.all([
        network.take('a'),
        network.take('a'),
        network.take('b'),
      ]);
      assert.deepEqual(first, same);
      assert.notEqual(first.index, other.index);
      assert.notEqual(first.netns, other.netns);
      assert.notEqual(first.vethName, other.vethName);
      assert.notEqual(first.hostAddress, other.hostAddress);
      assert.equal(first.guestAddress, other.guestAddress);
      assert.ok(first.vethName.length <= 15);
    },
  );

  check('says so when it is full, and has room again after a release', async (network) => {
    await network.start(new Map());
    for (const vm of ['a', 'b', 'c']) await network.take(vm);
    await assert.rejects(network.take('d'), (error) => isIngotError(error, 'host_full'));
    await network.release('b');
    await network.release('b');
    await network.release('never taken');
    const slot = await network.take('d');
    assert.ok(slot.index >= 0 && slot.index < 3);
  });

  check('goes on with the slots of living VMs after a restart', async (network, again) => {
    await network.start(new Map());
    const kept = await network.take('a');
    await network.take('lost');
    await network.stop();
    const second = again();
    await second.start(new Map([['a', kept.index]]));
    assert.deepEqual(await second.take('a'), kept);
    const others = await Promise.all([second.take('b'), second.take('c')]);
    assert.ok(others.every((slot) => slot.index !== kept.index));
    await second.stop();
  });
}
