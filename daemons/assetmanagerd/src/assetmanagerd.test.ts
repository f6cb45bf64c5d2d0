import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import https from 'node:https';
import { join } from 'node:path';
import { test } from 'node:test';
import { asset } from '@ingot/contracts';
import { createLogger, createRpcClient, ensurePki, loadIdentity } from '@ingot/daemon-kit';
import { SimulatedClock, tempDir } from '@ingot/testkit';
import { startAssetmanagerd } from './assetmanagerd.ts';
import { assetmanagerdSchema } from './config.ts';

const { AssetStatus, AssetType } = asset;
const identities = ['assetmanagerd', 'builderd', 'metald', 'operator', 'billaged'];

async function openWorld(settingsOfTest: Record<string, unknown> = {}) {
  const temp = await tempDir();
  const dataDir = join(temp.path, 'data');
  const guestDir = join(temp.path, 'guest');
  const pki = join(dataDir, 'pki');
  const inbox = join(dataDir, 'assetmanagerd', 'inbox');
  const clock = new SimulatedClock();
  await mkdir(guestDir);
  await ensurePki(pki, identities);
  const settings = assetmanagerdSchema.parse({
    listen: '127.0.0.1:0',
    guestDir,
    ...settingsOfTest,
  });
  const logger = createLogger({ name: 'test', level: 'silent' });
  const start = () => startAssetmanagerd(settings, { dataDir, clock, logger });
  let daemon = await start();
  const clientOf = async (name: string) =>
    createRpcClient(asset.AssetManagerService, {
      url: daemon.url,
      identity: await loadIdentity(pki, name),
      expect: 'assetmanagerd',
    });
  return {
    dataDir,
    guestDir,
    pki,
    clock,
    clientOf,
    url: () => daemon.url,
    restart: async () => {
      await daemon.stop();
      daemon = await start();
    },
    register: async (content: string, more: { labels?: Record<string, string> } = {}) => {
      const location = randomUUID();
      await writeFile(join(inbox, location), content);
      const request = { name: 'rootfs', type: AssetType.ROOTFS, location, ...more };
      return (await clientOf('builderd')).registerAsset({ ...request, idempotencyKey: location });
    },
    makeGuest: async (kernel: string, version: string) => {
      await writeFile(join(guestDir, 'vmlinux'), kernel);
      await writeFile(join(guestDir, 'initrd'), `initrd of ${kernel}`);
      await writeFile(join(guestDir, 'manifest.json'), JSON.stringify({ kernel: { version } }));
    },
    readiness: () => readPage(`${daemon.url}/readyz`),
    [Symbol.asyncDispose]: async () => {
      await daemon.stop();
      await temp.remove();
    },
  };
}

function readPage(url: string): Promise<{ ready: boolean; reasons: string[] }> {
  return new Promise((resolve, reject) => {
    https
      .get(url, { rejectUnauthorized: false }, (response) => {
        let text = '';
        response.on('data', (chunk: Buffer) => (text += chunk.toString()));
        response.on('end', () => resolve(JSON.parse(text)));
      })
      .on('error', reject);
  });
}

test('an asset goes from the builder to a VM and is taken back', async () => {
  await using world = await openWorld();
  const stored = await world.register('a rootfs', { labels: { tenant_id: 'acme' } });
  assert.equal(stored.status, AssetStatus.AVAILABLE);
  assert.equal(stored.sizeBytes, 8n);
  const metald = await world.clientOf('metald');
  const listed = await metald.listAssets({
    type: AssetType.ROOTFS,
    labels: { tenant_id: 'acme' },
  });
  assert.deepEqual(listed.assets, [stored]);
  const holder = randomUUID();
  const { assets } = await metald.prepareAssets({ assetIds: [stored.id.toUpperCase()], holder });
  assert.equal(assets[0]?.path, join(world.dataDir, 'staging', holder, 'rootfs'));
  assert.equal(assets[0].type, AssetType.ROOTFS);
  const operator = await world.clientOf('operator');
  await assert.rejects(operator.deleteAsset({ assetId: stored.id }), { reason: 'asset_in_use' });
  await world.restart();
  const again = await world.clientOf('metald');
  const renewal = await again.renewLease({ leaseIds: [assets[0].lease!.id], leaseSeconds: 60 });
  assert.equal(renewal.renewed.length, 1);
  assert.equal((await again.releaseAsset({ holder })).released, 1);
  assert.deepEqual(await readdir(join(world.dataDir, 'staging')), []);
  await (await world.clientOf('operator')).deleteAsset({ assetId: stored.id });
  await assert.rejects(again.getAsset({ assetId: stored.id }), {
    reason: 'asset_missing',
    facts: { assetId: stored.id },
  });
});

test('each daemon may call what its work needs, and no more', async () => {
  await using world = await openWorld();
  const denied = { reason: 'permission_denied' };
  const assetId = randomUUID();
  const holder = randomUUID();
  const [builderd, metald, operator, billaged] = await Promise.all(
    ['builderd', 'metald', 'operator', 'billaged'].map(world.clientOf),
  );
  const registration = { name: 'x', type: AssetType.ROOTFS, location: 'x', idempotencyKey: 'x' };
  await assert.rejects(metald!.registerAsset(registration), denied);
  await assert.rejects(operator!.registerAsset(registration), denied);
  await assert.rejects(builderd!.registerAsset(registration), { reason: 'not_found' });
  await assert.rejects(builderd!.prepareAssets({ assetIds: [assetId], holder }), denied);
  await assert.rejects(metald!.prepareAssets({ assetIds: [assetId], holder }), {
    reason: 'asset_missing',
  });
  await assert.rejects(builderd!.releaseAsset({ holder }), denied);
  await assert.rejects(metald!.deleteAsset({ assetId }), denied);
  await assert.rejects(builderd!.garbageCollect({}), denied);
  await assert.rejects(billaged!.listAssets({}), denied);
  await assert.rejects(
    builderd!.registerAsset({ ...registration, labels: { default: 'true' } }),
    denied,
  );
  const trusted = await loadIdentity(world.pki, 'metald');
  const nobody = createRpcClient(asset.AssetManagerService, {
    url: world.url(),
    identity: { ...trusted, certificate: '', privateKey: '' },
    expect: 'assetmanagerd',
  });
  await assert.rejects(nobody.listAssets({}), { reason: 'unauthenticated' });
});

test('leases run out while nobody calls', async () => {
  await using world = await openWorld();
  const stored = await world.register('a rootfs');
  const metald = await world.clientOf('metald');
  await metald.prepareAssets({ assetIds: [stored.id], holder: randomUUID(), leaseSeconds: 30 });
  await world.clock.advance(29_000);
  assert.equal((await metald.getAsset({ assetId: stored.id })).leaseCount, 1);
  await world.clock.advance(20_000);
  assert.equal((await metald.getAsset({ assetId: stored.id })).leaseCount, 0);
  const staging = join(world.dataDir, 'staging');
  for (let turn = 0; turn < 200 && (await readdir(staging)).length > 0; turn += 1) {
    await world.clock.advance(10);
  }
  assert.deepEqual(await readdir(staging), []);
});

test('garbage is collected by itself, and defaults never are', async () => {
  await using world = await openWorld({ leaseCheckSeconds: 86_400 });
  await world.makeGuest('kernel', '6.1');
  await world.restart();
  const stored = await world.register('a rootfs');
  const metald = await world.clientOf('metald');
  await world.clock.advance(7 * 24 * 3_600_000 + 1);
  let types: number[] = [];
  for (let turn = 0; turn < 200; turn += 1) {
    await world.clock.advance(3_600_000);
    types = (await metald.listAssets({})).assets.map(({ type }) => type);
    if (types.length === 2) break;
  }
  assert.deepEqual(new Set(types), new Set([AssetType.KERNEL, AssetType.INITRD]));
  await assert.rejects(metald.getAsset({ assetId: stored.id }), { reason: 'asset_missing' });
});

test('without guest files the daemon runs and says how to make them', async () => {
  await using world = await openWorld();
  const { ready, reasons } = await world.readiness();
  assert.equal(ready, false);
  assert.match(reasons.join('\n'), /guest\/manifest\.json is missing; make it with `guest\/build`/);
  assert.match(reasons.join('\n'), /no default kernel and no default initrd/);
  await world.makeGuest('kernel', '6.1');
  await rm(join(world.guestDir, 'initrd'));
  await world.restart();
  assert.match((await world.readiness()).reasons.join('\n'), /guest\/initrd is missing/);
});

test('the kernel and initrd of the guest folder are the defaults, the newest ones', async () => {
  await using world = await openWorld();
  const defaults = async () => {
    const metald = await world.clientOf('metald');
    return (await metald.listAssets({ labels: { default: 'true' } })).assets;
  };
  await world.makeGuest('old kernel', '6.1');
  await world.restart();
  assert.deepEqual(await world.readiness(), { ready: true, reasons: [] });
  const old = await defaults();
  assert.equal(old.length, 2);
  await world.restart();
  assert.deepEqual(await defaults(), old);
  await world.makeGuest('new kernel', '6.12');
  await world.restart();
  const fresh = await defaults();
  assert.equal(fresh.length, 2);
  assert.ok(fresh.every(({ labels }) => labels['version'] === '6.12'));
  assert.ok(fresh.every(({ id }) => !old.some((each) => each.id === id)));
  assert.equal((await (await world.clientOf('metald')).listAssets({})).assets.length, 4);
  await world.makeGuest('old kernel', '6.1');
  await world.restart();
  assert.deepEqual(
    (await defaults()).map(({ id }) => id).toSorted(),
    old.map(({ id }) => id).toSorted(),
  );
  // Files that do not match their manifest change nothing.
  const files = { vmlinux: '0'.repeat(64) };
  await writeFile(join(world.guestDir, 'manifest.json'), JSON.stringify({ files }));
  await world.restart();
  const { ready, reasons } = await world.readiness();
  assert.equal(ready, true);
  assert.match(reasons[0]!, /SHA-256/);
  assert.equal((await defaults()).length, 2);
});
