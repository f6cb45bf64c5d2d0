import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { FakeAssetStore } from '../asset-store/fake/fake-asset-store.ts';
import { type Fixture, openFixture } from '../test/surroundings-fixture.ts';
import { deleteAsset } from './delete-asset.ts';
import { expireLeases } from './expire-leases.ts';
import { getAsset } from './find-assets.ts';
import { acquireAsset, releaseHolder, renewLeases } from './lease-asset.ts';
import { prepareAssets } from './prepare-assets.ts';

async function registerThree(fixture: Fixture): Promise<string[]> {
  const kernel = await fixture.register('a kernel', { type: 'kernel' });
  const initrd = await fixture.register('an initrd', { type: 'initrd' });
  const rootfs = await fixture.register('a rootfs');
  return [kernel.id, initrd.id, rootfs.id];
}

test('prepared assets are hard links nobody can change, in a folder only this user enters', async () => {
  await using fixture = await openFixture();
  const assetIds = await registerThree(fixture);
  const holder = randomUUID();
  const prepared = await prepareAssets({ assetIds, holder, leaseSeconds: 0 }, fixture.around);
  const directory = join(fixture.path, 'staging', holder);
  assert.deepEqual(
    prepared.map(({ path }) => path),
    ['vmlinux', 'initrd', 'rootfs'].map((name) => join(directory, name)),
  );
  assert.equal(await readFile(join(directory, 'rootfs'), 'utf8'), 'a rootfs');
  assert.equal((await stat(join(fixture.path, 'staging'))).mode & 0o777, 0o700);
  for (const { path, file } of prepared) {
    const { mode, ino } = await stat(path);
    const stored = join(fixture.path, 'assets', file.assetId.slice(0, 2), file.assetId);
    assert.equal(mode & 0o777, 0o444);
    assert.equal(ino, (await stat(stored)).ino);
  }
  const metadata = JSON.parse(await readFile(join(directory, 'metadata.json'), 'utf8')) as {
    holder: string;
    files: { name: string; assetId: string; sizeBytes: number }[];
  };
  assert.equal(metadata.holder, holder);
  assert.deepEqual(metadata.files.map(({ assetId }) => assetId).toSorted(), assetIds.toSorted());
  const anHour = fixture.clock.now() + 3_600_000;
  assert.ok(prepared.every(({ lease }) => lease.expiresAtMs === anHour));
});

test('preparing again, also at the same time, answers with the same leases and paths', async () => {
  await using fixture = await openFixture();
  const assetIds = await registerThree(fixture);
  const holder = randomUUID();
  const prepare = () => prepareAssets({ assetIds, holder, leaseSeconds: 60 }, fixture.around);
  const [first, second] = await Promise.all([prepare(), prepare()]);
  assert.deepEqual(first, second);
  await rm(first[2]!.path);
  assert.deepEqual(await prepare(), first);
  assert.equal(await readFile(first[2]!.path, 'utf8'), 'a rootfs');
  assert.equal((await getAsset(assetIds[0]!, fixture.around)).leaseCount, 1);
});

test('one missing asset is named, and nothing is leased or staged', async () => {
  await using fixture = await openFixture();
  const assetIds = await registerThree(fixture);
  const unknown = randomUUID();
  const request = { assetIds: [...assetIds, unknown], holder: randomUUID(), leaseSeconds: 0 };
  await assert.rejects(prepareAssets(request, fixture.around), {
    reason: 'asset_missing',
    message: new RegExp(unknown),
    facts: { assetId: unknown },
  });
  assert.deepEqual(await fixture.around.registry.leasesOf(request.holder), []);
  assert.deepEqual(await fixture.files('staging'), []);
});

test('a staging that fails half-way leaves neither files nor leases', async () => {
  const store = new FakeAssetStore();
  await using fixture = await openFixture({ store });
  const assetIds = await registerThree(fixture);
  const request = { assetIds, holder: randomUUID(), leaseSeconds: 0 };
  store.failAt('place', Object.assign(new Error('full'), { code: 'ENOSPC' }));
  await assert.rejects(prepareAssets(request, fixture.around), { reason: 'disk_full' });
  assert.deepEqual(await fixture.around.registry.leasesOf(request.holder), []);
  assert.deepEqual(await fixture.files('staging'), []);
  assert.equal((await prepareAssets(request, fixture.around)).length, 3);
});

test('two of a type, or another set for the same holder, are refused', async () => {
  await using fixture = await openFixture();
  const [, , rootfs] = await registerThree(fixture);
  const other = await fixture.register('another rootfs');
  const holder = randomUUID();
  const prepare = (...assetIds: string[]) =>
    prepareAssets({ assetIds, holder, leaseSeconds: 0 }, fixture.around);
  await assert.rejects(prepare(rootfs!, other.id), { reason: 'invalid_argument' });
  await prepare(rootfs!);
  await assert.rejects(prepare(other.id), { reason: 'illegal_state', remedy: /release/ });
  await releaseHolder(holder, fixture.around);
  assert.equal((await prepare(other.id)).length, 1);
});

test('leases run out by themselves, are renewed, and lost ones are told', async () => {
  await using fixture = await openFixture();
  const { around, clock } = fixture;
  const assetIds = await registerThree(fixture);
  const holder = randomUUID();
  const prepared = await prepareAssets({ assetIds, holder, leaseSeconds: 60 }, around);
  const leaseIds = prepared.map(({ lease }) => lease.id);
  await clock.advance(59_999);
  assert.deepEqual((await renewLeases({ leaseIds, leaseSeconds: 60 }, around)).lost, []);
  await clock.advance(59_999);
  await expireLeases(around);
  assert.equal((await fixture.files('staging')).length, 4);
  await clock.advance(1);
  const { renewed, lost } = await renewLeases({ leaseIds, leaseSeconds: 60 }, around);
  assert.deepEqual(renewed, []);
  assert.deepEqual(lost, leaseIds);
  assert.equal((await getAsset(assetIds[0]!, around)).leaseCount, 0);
  await expireLeases(around);
  assert.deepEqual(await fixture.files('staging'), []);
  const anew = await prepareAssets({ assetIds, holder, leaseSeconds: 60 }, around);
  assert.ok(anew.every(({ lease }) => !leaseIds.includes(lease.id)));
});

test('a leased asset cannot be deleted; released, or run out, it can', async () => {
  await using fixture = await openFixture();
  const { around, clock } = fixture;
  const asset = await fixture.register('content');
  const acquire = (leaseSeconds: number) =>
    acquireAsset({ assetId: asset.id, holder: 'someone', leaseSeconds }, around);
  const lease = await acquire(60);
  assert.equal((await acquire(10)).id, lease.id);
  await assert.rejects(deleteAsset(asset.id, around), { reason: 'asset_in_use' });
  await clock.advance(60_000);
  await deleteAsset(asset.id, around);
  assert.deepEqual(await fixture.files('assets'), []);
  await assert.rejects(deleteAsset(asset.id, around), { reason: 'asset_missing' });
  await assert.rejects(acquire(60), { reason: 'asset_missing' });
});

test('releasing removes what was staged, twice is fine, and no name reaches outside', async () => {
  await using fixture = await openFixture();
  const asset = await fixture.register('content');
  const holder = randomUUID();
  const request = { assetIds: [asset.id], holder, leaseSeconds: 0 };
  await prepareAssets(request, fixture.around);
  assert.equal(await releaseHolder(holder, fixture.around), 1);
  assert.deepEqual(await fixture.files('staging'), []);
  assert.equal(await releaseHolder(holder, fixture.around), 0);
  for (const name of ['..', '../assets', '.', '']) await releaseHolder(name, fixture.around);
  assert.equal((await fixture.files('assets')).length, 1);
});
