import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { FakeAssetStore } from '../asset-store/fake/fake-asset-store.ts';
import { openFixture, registrationOf } from '../test/surroundings-fixture.ts';
import { listAssets } from './find-assets.ts';
import { registerAsset } from './register-asset.ts';

const everything = { type: undefined, labels: {}, after: undefined, pageSize: 100 };

test('a registered asset has the digest of its bytes, and the inbox is empty', async () => {
  await using fixture = await openFixture();
  const asset = await fixture.register('content', { labels: { tenant_id: 'acme' } });
  assert.equal(asset.status, 'available');
  assert.equal(asset.sizeBytes, 7);
  assert.equal(asset.sha256, createHash('sha256').update('content').digest('hex'));
  assert.deepEqual(asset.labels, { tenant_id: 'acme' });
  assert.deepEqual(await fixture.files('assets'), [`${asset.id.slice(0, 2)}/${asset.id}`]);
  assert.deepEqual(await fixture.files('inbox'), []);
});

test('the same key answers with the same asset, also at the same time', async () => {
  await using fixture = await openFixture();
  await writeFile(join(fixture.path, 'inbox', 'file'), 'content');
  const again = () => registerAsset(registrationOf('key'), { inboxFile: 'file' }, fixture.around);
  const [first, second] = await Promise.all([again(), again()]);
  assert.equal(first.id, second.id);
  assert.equal((await again()).id, first.id);
  assert.equal((await fixture.files('assets')).length, 1);
});

test('the same key for something else is refused', async () => {
  await using fixture = await openFixture();
  await fixture.register('content', { idempotencyKey: 'key' });
  await assert.rejects(fixture.register('content', { idempotencyKey: 'key', name: 'other' }), {
    reason: 'already_exists',
  });
  const expectedSha256 = '0'.repeat(64);
  await assert.rejects(fixture.register('other', { idempotencyKey: 'key', expectedSha256 }), {
    reason: 'digest_mismatch',
  });
});

test('bytes with another digest than expected leave nothing', async () => {
  await using fixture = await openFixture();
  await assert.rejects(fixture.register('content', { expectedSha256: '0'.repeat(64) }), {
    reason: 'digest_mismatch',
    message: /ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73/,
  });
  assert.deepEqual(await fixture.files('assets'), []);
  assert.deepEqual(await fixture.around.registry.inventory(), []);
});

test('only regular files directly inside the inbox are taken', async () => {
  await using fixture = await openFixture();
  const inbox = join(fixture.path, 'inbox');
  await writeFile(join(fixture.path, 'secret'), 'secret');
  await symlink(join(fixture.path, 'secret'), join(inbox, 'link'));
  await mkdir(join(inbox, 'folder'));
  execFileSync('mkfifo', [join(inbox, 'pipe')]);
  for (const inboxFile of ['link', 'folder', 'pipe', '..', '../secret']) {
    await assert.rejects(
      registerAsset(registrationOf(randomUUID()), { inboxFile }, fixture.around),
      { reason: 'invalid_argument' },
      inboxFile,
    );
  }
  await assert.rejects(
    registerAsset(registrationOf('key'), { inboxFile: 'nothing' }, fixture.around),
    { reason: 'not_found' },
  );
  assert.deepEqual(await fixture.around.registry.inventory(), []);
});

test('a disk that fills up leaves nothing, and the same call works once there is room', async () => {
  const store = new FakeAssetStore();
  await using fixture = await openFixture({ store });
  store.failAt('write', Object.assign(new Error('write'), { code: 'ENOSPC' }), 3);
  await writeFile(join(fixture.path, 'inbox', 'file'), 'content');
  const register = () =>
    registerAsset(registrationOf('key'), { inboxFile: 'file' }, fixture.around);
  await assert.rejects(register(), { reason: 'disk_full', remedy: /free space/ });
  assert.deepEqual(await fixture.around.registry.inventory(), []);
  assert.deepEqual(await fixture.files('inbox'), ['file']);
  assert.equal((await register()).status, 'available');
});

test('a clean-up that fails does not block the next try', async () => {
  const store = new FakeAssetStore();
  await using fixture = await openFixture({ store });
  store.failAt('write', new Error('broken'));
  store.failAt('remove', new Error('broken too'));
  await writeFile(join(fixture.path, 'inbox', 'file'), 'content');
  const register = () =>
    registerAsset(registrationOf('key'), { inboxFile: 'file' }, fixture.around);
  await assert.rejects(register(), /broken/);
  assert.deepEqual((await listAssets(everything, fixture.around)).assets, []);
  assert.equal((await register()).status, 'available');
  assert.equal((await fixture.around.registry.inventory()).length, 1);
});

test('listing filters by type and labels and pages newest first', async () => {
  await using fixture = await openFixture();
  const made = [];
  for (let index = 0; index < 7; index += 1) {
    // Two of them in the same millisecond.
    if (index !== 3) await fixture.clock.advance(1);
    const labels = { parity: index % 2 === 0 ? 'even' : 'odd', kind: 'x' };
    made.push(await fixture.register(`${index}`, { labels }));
  }
  await fixture.register('kernel', { type: 'kernel' });
  const filter = { ...everything, type: 'rootfs' as const };
  const seen: string[] = [];
  let after: { createdAtMs: number; id: string } | undefined;
  do {
    const page = await listAssets({ ...filter, after, pageSize: 3 }, fixture.around);
    seen.push(...page.assets.map(({ id }) => id));
    after = page.next;
  } while (after);
  const newestFirst = made.toSorted(
    (a, b) => b.createdAtMs - a.createdAtMs || (a.id < b.id ? 1 : -1),
  );
  assert.deepEqual(
    seen,
    newestFirst.map(({ id }) => id),
  );
  const labels = { parity: 'odd', kind: 'x' };
  assert.equal((await listAssets({ ...filter, labels }, fixture.around)).assets.length, 3);
  const none = { ...filter, labels: { parity: 'odd', kind: 'y' } };
  assert.deepEqual((await listAssets(none, fixture.around)).assets, []);
});
