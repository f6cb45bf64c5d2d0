import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdir, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { openFixture } from '../test/surroundings-fixture.ts';
import { collectGarbage } from './collect-garbage.ts';
import { acquireAsset, releaseHolder } from './lease-asset.ts';

const hourMs = 3_600_000;

test('collects what is unleased and old, and nothing else', async () => {
  await using fixture = await openFixture();
  const { around, clock } = fixture;
  const old = await fixture.register('old');
  const leased = await fixture.register('leased');
  const standard = await fixture.register('standard', { type: 'kernel' });
  await around.registry.makeDefault([standard.id]);
  await acquireAsset({ assetId: leased.id, holder: 'vm', leaseSeconds: 86_400 }, around);
  await clock.advance(2 * hourMs);
  const fresh = await fixture.register('fresh');
  const request = { maxAgeMs: hourMs, dryRun: true };
  const report = { assetIds: [old.id], freedBytes: 3 };
  assert.deepEqual(await collectGarbage(request, around), report);
  assert.equal((await fixture.files('assets')).length, 4);
  assert.deepEqual(await collectGarbage({ ...request, dryRun: false }, around), report);
  const left = (await around.registry.inventory()).map(({ id }) => id).toSorted();
  assert.deepEqual(left, [leased.id, standard.id, fresh.id].toSorted());
  assert.equal((await fixture.files('assets')).length, 3);
});

test('an asset counts as used until its last lease ended', async () => {
  await using fixture = await openFixture();
  const { around, clock } = fixture;
  const asset = await fixture.register('content');
  await acquireAsset({ assetId: asset.id, holder: 'vm', leaseSeconds: 86_400 }, around);
  await clock.advance(5 * hourMs);
  await releaseHolder('vm', around);
  await clock.advance(hourMs);
  const collect = () => collectGarbage({ maxAgeMs: hourMs, dryRun: false }, around);
  assert.deepEqual((await collect()).assetIds, []);
  await clock.advance(1);
  assert.deepEqual((await collect()).assetIds, [asset.id]);
});

test('removes files without a record and what was forgotten in the inbox', async () => {
  await using fixture = await openFixture();
  const { around, clock, path } = fixture;
  const stray = randomUUID();
  const folder = join(path, 'assets', stray.slice(0, 2));
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, stray), 'stray');
  for (const [name, hours] of [
    ['old', 25],
    ['new', 1],
  ] as const) {
    await writeFile(join(path, 'inbox', name), 'forgotten');
    const changed = (clock.now() - hours * hourMs) / 1000;
    await utimes(join(path, 'inbox', name), changed, changed);
  }
  const collected = await collectGarbage({ maxAgeMs: 0, dryRun: false }, around);
  assert.deepEqual(collected, { assetIds: [], freedBytes: 'stray'.length + 'forgotten'.length });
  assert.deepEqual(await fixture.files('assets'), []);
  assert.deepEqual(await fixture.files('inbox'), ['new']);
});

test('an asset that is being written while garbage is collected stays', async () => {
  await using fixture = await openFixture();
  const registering = Array.from({ length: 20 }, (_, index) => fixture.register(`${index}`));
  for (let round = 0; round < 10; round += 1) {
    await collectGarbage({ maxAgeMs: hourMs, dryRun: false }, fixture.around);
  }
  await Promise.all(registering);
  assert.equal((await fixture.files('assets')).length, 20);
});
