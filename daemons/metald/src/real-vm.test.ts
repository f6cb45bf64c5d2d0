// Real QEMU, real namespaces, the real journal; billaged is away all the time.
import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { asset, metal } from '@ingot/contracts';
import { createRpcClient, loadIdentity, runCommand } from '@ingot/daemon-kit';
import { settingsSchema } from './config.ts';
import { type Metald, startMetald } from './metald.ts';
import { removeEverything } from './remove-everything.ts';
import { newVmId, World } from './test/world.ts';

const defaults = settingsSchema.parse({});
const skip = whyNot();

let world: World;
let metald: Metald;
let hostId: string | undefined;

const settings = settingsSchema.parse({
  listen: '127.0.0.1:0',
  // Nobody listens there.
  billagedUrl: 'https://127.0.0.1:9',
  networkSlots: 4,
  spareNetworkSlots: 1,
  uidBase: 310_000,
});

function whyNot(): string | false {
  if (process.getuid?.() !== 0) return 'needs root';
  if (!existsSync(join(defaults.guestDir, 'vmlinux'))) return 'guest/build has not run';
  for (const program of ['qemu-system-x86_64', 'musl-gcc', 'mksquashfs', 'nft']) {
    if (!['/usr/bin', '/usr/sbin'].some((dir) => existsSync(join(dir, program))))
      return `${program} is not installed`;
  }
  return false;
}

/** Everything real but assetmanagerd, whose contract the stub speaks. */
function deps() {
  const all = world.deps();
  const { assets } = all.backends ?? {};
  return { ...all, backends: assets ? { assets } : {} };
}

async function client() {
  const identity = await loadIdentity(join(world.temp.path, 'pki'), 'gatewayd');
  return createRpcClient(metal.VmService, { url: metald.url, identity, expect: 'metald' });
}

const request = (vmId: string, args: string[]) => ({
  vmId,
  spec: {
    ...{ tenantId: 'tenant', deploymentId: 'shop', hostname: 'shop' },
    ...{ vcpus: 1, memoryMib: 128, diskMib: 64, rootfsAssetId: world.assets.rootfsId },
    app: { args, port: 8080 },
  },
});

async function reach(vmId: string, ...states: metal.VmState[]): Promise<metal.Vm> {
  for await (const vm of (await client()).watchVms({ vmIds: [vmId] })) {
    if (states.includes(vm.state)) return vm;
  }
  throw new Error('the watch ended');
}

/** What this instance has on the host: everything carries the first digits of its id. */
async function traces(): Promise<string[]> {
  const run = async (file: string, ...args: string[]) =>
    (await runCommand(file, args, { timeoutMs: 10_000 })).stdout.split('\n');
  const all = await Promise.all([
    run('ip', 'netns', 'list'),
    run('ip', '-brief', 'link'),
    run('nft', 'list', 'tables'),
  ]);
  const identity = await loadIdentity(join(world.temp.path, 'pki'), 'gatewayd');
  const hosts = createRpcClient(metal.HostService, {
    ...{ url: metald.url, identity, expect: 'metald' },
  });
  hostId ??= (await hosts.getHost({})).id;
  const tag = hostId.slice(0, 6);
  return all.flat().filter((line) => line.includes(tag));
}

before(async () => {
  if (skip !== false) return;
  world = await World.make();
  const root = join(world.temp.path, 'root');
  const rootfs = join(world.temp.path, 'rootfs.squashfs');
  await mkdir(root);
  const source = join(import.meta.dirname, 'test/real-app.c');
  const timeoutMs = 60_000;
  await runCommand('musl-gcc', ['-static', '-Os', '-o', join(root, 'app'), source], { timeoutMs });
  await runCommand('mksquashfs', [root, rootfs, '-quiet', '-no-progress', '-all-root'], {
    timeoutMs,
  });
  const files: Partial<Record<asset.AssetType, string>> = {
    [asset.AssetType.KERNEL]: join(defaults.guestDir, 'vmlinux'),
    [asset.AssetType.INITRD]: join(defaults.guestDir, 'initrd'),
    [asset.AssetType.ROOTFS]: rootfs,
  };
  world.assets.pathOf = (type) => files[type] ?? '';
});
after(() => (skip === false ? world.remove() : undefined));

test('a real VM answers, survives metald, is stopped, and leaves nothing', { skip }, async () => {
  metald = await startMetald(settings, deps());
  try {
    const vmId = newVmId();
    const created = await (await client()).createVm(request(vmId, ['/app', 'serve']));
    assert.ok((await traces()).length >= 3);
    await (await client()).bootVm({ vmId });
    const up = await reach(vmId, metal.VmState.RUNNING, metal.VmState.FAILED);
    assert.equal(up.state, metal.VmState.RUNNING, up.failure?.message);
    assert.equal(await (await fetch(`http://${created.endpoint}/`)).text(), 'hello');

    await metald.stop();
    assert.equal(await (await fetch(`http://${created.endpoint}/`)).text(), 'hello');
    metald = await startMetald(settings, deps());
    const found = await (await client()).getVm({ vmId });
    assert.equal(found.state, metal.VmState.RUNNING);
    assert.equal(found.billingDegraded, true);

    await (await client()).shutdownVm({ vmId });
    const stopped = await reach(vmId, metal.VmState.STOPPED, metal.VmState.FAILED);
    assert.equal(stopped.state, metal.VmState.STOPPED);
    assert.equal(stopped.exitCode, 0);

    await (await client()).bootVm({ vmId });
    await reach(vmId, metal.VmState.RUNNING);
    let log = '';
    for await (const { data } of (await client()).streamConsole({ vmId })) log += Buffer.from(data);
    assert.match(log, /listening/);
  } finally {
    await metald.stop();
    await removeEverything(settings, deps());
  }
  assert.deepEqual(await traces(), []);
  assert.deepEqual(readdirSync(join(world.temp.path, 'metald/vms')), []);
  assert.equal(world.assets.leases.size, 0);
});

test('a real app that exits with 3 fails the VM with its code and log', { skip }, async () => {
  metald = await startMetald(settings, deps());
  try {
    const vmId = newVmId();
    await (await client()).createVm(request(vmId, ['/app', 'exit', '3']));
    await (await client()).bootVm({ vmId });
    const failed = await reach(vmId, metal.VmState.RUNNING, metal.VmState.FAILED);
    assert.equal(failed.failure?.reason, 'app_exited');
    assert.equal(failed.failure?.exitCode, 3);
    assert.ok(failed.failure?.log.includes('bye'), failed.failure?.log.join('\n'));
  } finally {
    await metald.stop();
    await removeEverything(settings, deps());
  }
});
