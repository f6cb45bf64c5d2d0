// metald as gatewayd meets it: over mutual TLS, through the contract.
import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { metal } from '@ingot/contracts';
import { createRpcClient, isIngotError, loadIdentity } from '@ingot/daemon-kit';
import { type Metald, startMetald } from './metald.ts';
import { removeEverything } from './remove-everything.ts';
import { newVmId, World } from './test/world.ts';

let world: World;
let metald: Metald;
let vms: Awaited<ReturnType<typeof clientFor>>;

async function clientFor(caller: string) {
  const identity = await loadIdentity(join(world.temp.path, 'pki'), caller);
  return createRpcClient(metal.VmService, { url: metald.url, identity, expect: 'metald' });
}

beforeEach(async () => {
  world = await World.make();
  metald = await startMetald(world.settings, world.deps());
  vms = await clientFor('gatewayd');
});
afterEach(async () => {
  await metald.stop();
  await world.remove();
});

const request = (vmId: string) => ({
  vmId,
  spec: {
    ...{ tenantId: 'tenant', deploymentId: 'shop', hostname: 'shop' },
    ...{ vcpus: 1, memoryMib: 128, diskMib: 64, rootfsAssetId: world.assets.rootfsId },
    app: { args: ['/app'], port: 8080 },
  },
});

async function untilRunning(vmId: string): Promise<metal.Vm> {
  for await (const vm of vms.watchVms({ vmIds: [vmId] })) {
    if (vm.state === metal.VmState.RUNNING) return vm;
  }
  throw new Error('the watch ended');
}

test('nobody but gatewayd may call', async () => {
  const builderd = await clientFor('builderd');
  await assert.rejects(builderd.listVms({}), (error) => isIngotError(error, 'permission_denied'));
});

test('environments and logs of apps are closed to the other users of the host', () => {
  assert.equal(statSync(join(world.temp.path, 'metald')).mode & 0o777, 0o700);
});

test('a VM from creation to deletion; a second deletion answers the same', async () => {
  const vmId = newVmId();
  const created = await vms.createVm(request(vmId));
  assert.equal(created.state, metal.VmState.CREATED);
  assert.equal(created.endpoint, '127.77.0.0:8080');
  assert.equal(created.spec?.readyTimeoutSeconds, 60);
  assert.equal((await vms.bootVm({ vmId })).state, metal.VmState.BOOTING);
  const up = await untilRunning(vmId);
  assert.equal(up.bootEpoch, 1);
  assert.equal(up.billingDegraded, false);
  const deleted = await vms.deleteVm({ vmId });
  assert.equal(deleted.state, metal.VmState.DELETED);
  assert.deepEqual(await vms.deleteVm({ vmId }), deleted);
  assert.deepEqual(await vms.getVm({ vmId }), deleted);
  await assert.rejects(vms.deleteVm({ vmId: newVmId() }), (e) => isIngotError(e, 'vm_not_found'));
});

test('billing that is away does not keep a VM from booting; it is told, and told when it is over', async () => {
  world.metering.billingDegraded = true;
  const vmId = newVmId();
  await vms.createVm(request(vmId));
  await vms.bootVm({ vmId });
  assert.equal((await untilRunning(vmId)).billingDegraded, true);
  setTimeout(() => (world.metering.billingDegraded = false), 1_500);
  for await (const vm of vms.watchVms({})) if (!vm.billingDegraded) break;
});

test('a watch tells each VM as it is, then its changes, and the end of a deleted one', async () => {
  const [first, second] = [newVmId(), newVmId()];
  await vms.createVm(request(first));
  const seen: string[] = [];
  const watching = (async () => {
    for await (const vm of vms.watchVms({})) {
      seen.push(`${vm.id === first ? 'first' : 'second'} ${metal.VmState[vm.state]}`);
      if (vm.state === metal.VmState.DELETED) return;
    }
  })();
  while (seen.length === 0) await delay(5);
  await vms.createVm(request(second));
  await vms.deleteVm({ vmId: first });
  await watching;
  assert.deepEqual(seen, ['first CREATED', 'second CREATED', 'first DELETED']);
});

test('lists page by page and filters', async () => {
  for (let n = 0; n < 3; n++) await vms.createVm(request(newVmId()));
  const first = await vms.listVms({ pageSize: 2 });
  assert.equal(first.vms.length, 2);
  const rest = await vms.listVms({ pageSize: 2, pageToken: first.nextPageToken });
  assert.equal(rest.vms.length, 1);
  assert.equal(rest.nextPageToken, '');
  assert.equal((await vms.listVms({ tenantId: 'other' })).vms.length, 0);
  await assert.rejects(vms.listVms({ pageToken: 'x' }), (e) => isIngotError(e, 'invalid_argument'));
});

test('the console: its last lines, then what follows, until the VM is deleted', async () => {
  const vmId = newVmId();
  await vms.createVm(request(vmId));
  world.hypervisor.alive[0]?.print('one\ntwo\nthree\n');
  let text = '';
  for await (const { data } of vms.streamConsole({ vmId, tailLines: 2 })) text += Buffer.from(data);
  assert.equal(text, 'two\nthree\n');
  text = '';
  const following = (async () => {
    for await (const { data } of vms.streamConsole({ vmId, follow: true })) {
      text += Buffer.from(data);
    }
  })();
  while (!text.endsWith('three\n')) await delay(5);
  world.hypervisor.alive[0]?.print('four\n');
  while (!text.endsWith('four\n')) await delay(5);
  await vms.deleteVm({ vmId });
  await following;
});

test('stopped and started again, metald goes on with its VMs and keeps its name', async () => {
  const vmId = newVmId();
  await vms.createVm(request(vmId));
  await vms.bootVm({ vmId });
  await untilRunning(vmId);
  const identity = await loadIdentity(join(world.temp.path, 'pki'), 'gatewayd');
  const hosts = () =>
    createRpcClient(metal.HostService, { url: metald.url, identity, expect: 'metald' });
  const before = await hosts().getHost({});
  assert.equal(before.vmsRunning, 1);
  await metald.stop();
  assert.equal(world.hypervisor.alive.length, 1);
  metald = await startMetald(world.settings, world.deps());
  vms = await clientFor('gatewayd');
  assert.equal((await vms.getVm({ vmId })).state, metal.VmState.RUNNING);
  assert.equal((await hosts().getHost({})).id, before.id);
  assert.ok(world.metering.measured.has(vmId));
});

test('everything can be removed while metald is down; the bill knows when it ended', async () => {
  const vmId = newVmId();
  await vms.createVm(request(vmId));
  await vms.bootVm({ vmId });
  await untilRunning(vmId);
  await vms.createVm(request(newVmId()));
  await metald.stop();
  await removeEverything(world.settings, world.deps());
  assert.deepEqual(world.hypervisor.alive, []);
  assert.equal(world.network.made.size, 0);
  assert.equal(world.assets.leases.size, 0);
  assert.deepEqual(world.metering.openRuns(), []);
  metald = await startMetald(world.settings, world.deps());
  vms = await clientFor('gatewayd');
  assert.equal((await vms.getVm({ vmId })).state, metal.VmState.DELETED);
  await removeEverything(world.settings, {
    ...world.deps(),
    dataDir: join(world.temp.path, 'empty'),
  });
});
