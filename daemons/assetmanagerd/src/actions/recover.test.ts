import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { freezeAfter } from '../test/freeze.ts';
import { type Fixture, openFixture, registrationOf } from '../test/surroundings-fixture.ts';
import { collectGarbage } from './collect-garbage.ts';
import { deleteAsset } from './delete-asset.ts';
import { releaseHolder } from './lease-asset.ts';
import { prepareAssets } from './prepare-assets.ts';
import { recover } from './recover.ts';
import { registerAsset } from './register-asset.ts';
import type { Surroundings } from './surroundings.ts';

/** Registry, store, staging and inbox say the same thing, and nothing is under way. */
async function assertInLine(fixture: Fixture, around: Surroundings): Promise<void> {
  const inventory = await around.registry.inventory();
  assert.ok(inventory.every(({ status }) => status === 'available'));
  const stored = await fixture.files('assets');
  assert.deepEqual(stored, inventory.map(({ id }) => `${id.slice(0, 2)}/${id}`).toSorted());
  assert.deepEqual(await around.registry.pendingInboxFiles(), []);
  const staged: string[] = [];
  for (const holder of await around.registry.stagedHolders()) {
    staged.push(`${holder}/metadata.json`);
    const leases = await around.registry.leasesOf(holder);
    staged.push(...leases.map(({ stagedAs }) => `${holder}/${stagedAs}`));
  }
  assert.deepEqual(await fixture.files('staging'), staged.toSorted());
}

/**
 * Kills the action before and after each call it makes to a port, starts anew, and does it again.
 *
 * @param finish - the action once more after the restart; its outcome must be as if nothing had been.
 */
function testKilledAnywhere(
  title: string,
  run: {
    prepare: (fixture: Fixture) => Promise<string[]>;
    action: (around: Surroundings, ids: string[]) => Promise<unknown>;
    finish: (fixture: Fixture, around: Surroundings, ids: string[]) => Promise<void>;
  },
): void {
  for (const after of [false, true]) {
    test(`${title}, killed ${after ? 'after' : 'before'} any step`, async () => {
      let steps = 0;
      for (let done = false; !done; steps += 1) {
        await using fixture = await openFixture();
        const ids = await run.prepare(fixture);
        const frozen = freezeAfter(fixture.around, steps, after);
        const ended = run.action(frozen.around, ids).then(() => true);
        done = await Promise.race([ended, frozen.reached.then(() => false)]);
        await frozen.end();
        const around = await fixture.reopen();
        await recover(around);
        await assertInLine(fixture, around);
        await run.finish(fixture, around, ids);
        await assertInLine(fixture, around);
      }
      assert.ok(steps > 3, `only ${steps} steps were tried`);
    });
  }
}

const register = (around: Surroundings) =>
  registerAsset(registrationOf('key'), { inboxFile: 'file' }, around);

testKilledAnywhere('registering', {
  prepare: async (fixture) => {
    await writeFile(join(fixture.path, 'inbox', 'file'), 'content');
    return [];
  },
  action: register,
  finish: async (fixture, around) => {
    assert.equal((await register(around)).sizeBytes, 7);
    assert.equal((await around.registry.inventory()).length, 1);
    assert.deepEqual(await fixture.files('inbox'), []);
  },
});

const holder = randomUUID();
const prepare = (around: Surroundings, assetIds: string[]) =>
  prepareAssets({ assetIds, holder, leaseSeconds: 60 }, around);
const twoAssets = async (fixture: Fixture) => {
  const kernel = await fixture.register('kernel', { type: 'kernel' });
  const rootfs = await fixture.register('rootfs');
  return [kernel.id, rootfs.id];
};

testKilledAnywhere('preparing', {
  prepare: twoAssets,
  action: prepare,
  finish: async (_fixture, around, ids) => {
    assert.equal((await prepare(around, ids)).length, 2);
    assert.equal((await around.registry.leasesOf(holder)).length, 2);
  },
});

testKilledAnywhere('preparing and releasing', {
  prepare: twoAssets,
  action: async (around, ids) => {
    await prepare(around, ids);
    await releaseHolder(holder, around);
  },
  finish: async (fixture, around) => {
    await releaseHolder(holder, around);
    assert.deepEqual(await fixture.files('staging'), []);
  },
});

testKilledAnywhere('deleting', {
  prepare: twoAssets,
  action: async (around, ids) => {
    for (const id of ids) await deleteAsset(id, around);
  },
  finish: async (fixture, around) => {
    await fixture.clock.advance(1);
    await collectGarbage({ maxAgeMs: 0, dryRun: false }, around);
    assert.deepEqual(await around.registry.inventory(), []);
  },
});

test('what a killed write and a killed staging left in the folders is removed', async () => {
  await using fixture = await openFixture();
  const kept = await fixture.register('kept');
  const stray = randomUUID();
  const folder = join(fixture.path, 'assets', stray.slice(0, 2));
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, `${stray}.draft`), 'hal');
  await mkdir(join(fixture.path, 'staging', `.draft-${stray}`));
  await writeFile(join(fixture.path, 'staging', `.draft-${stray}`, 'rootfs'), '');
  const around = await fixture.reopen();
  await recover(around);
  await assertInLine(fixture, around);
  assert.deepEqual(
    (await around.registry.inventory()).map(({ id }) => id),
    [kept.id],
  );
});

test('an asset whose bytes are lost is forgotten, a staged file that is lost comes back', async () => {
  await using fixture = await openFixture();
  const lost = await fixture.register('lost');
  const staged = await fixture.register('staged');
  const [prepared] = await prepare(fixture.around, [staged.id]);
  await rm(join(fixture.path, 'assets', lost.id.slice(0, 2), lost.id));
  await rm(prepared!.path);
  const around = await fixture.reopen();
  await recover(around);
  await assertInLine(fixture, around);
  assert.equal((await around.registry.inventory()).length, 1);
});
