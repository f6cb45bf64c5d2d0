// The life of a VM, on a hypervisor and a network of the mind and a metald without its server.
import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { asset } from '@ingot/contracts';
import { IngotError, isIngotError } from '@ingot/daemon-kit';
import { newVmId, untilState, World } from '../test/world.ts';
import { bootVm } from './boot-vm.ts';
import type { Context } from './context.ts';
import { createVm } from './create-vm.ts';
import { deleteVm } from './delete-vm.ts';
import { reconcileVm } from './reconcile-vm.ts';
import { renewLeases } from './renew-leases.ts';
import { shutdownVm } from './shutdown-vm.ts';

let world: World;
let context: Context;
let id: string;

beforeEach(async () => {
  world = await World.make();
  context = await world.open();
  id = newVmId();
});
afterEach(() => world.remove());

function assertNothingTaken(): void {
  assert.deepEqual(world.hypervisor.alive, []);
  assert.equal(world.network.made.size, 0);
  assert.equal(world.assets.leases.size, 0);
  assert.deepEqual(readdirSync(context.vmsDir), []);
}

async function running(): Promise<void> {
  await createVm({ id, spec: world.spec() }, context);
  await bootVm(id, context);
  await untilState(id, 'running', context);
}

test('a VM is created, boots, runs, is asked to stop, boots again and is deleted', async () => {
  const created = await createVm({ id, spec: world.spec() }, context);
  assert.equal(created.state, 'created');
  assert.equal(created.slot?.hostAddress, '127.77.0.0');
  const [vmm] = world.hypervisor.alive;
  assert.equal(vmm?.started, 0, 'held before the first instruction');
  assert.equal(vmm?.spec.uid, world.settings.uidBase);
  assert.equal(world.metering.runs.length, 0);

  assert.equal((await bootVm(id, context)).state, 'booting');
  const up = await untilState(id, 'running', context);
  assert.equal(up.bootEpoch, 1);
  assert.equal(world.metering.runs[0]?.startedAtMs, up.startedAtMs);

  assert.equal((await shutdownVm({ id, graceMs: 5_000 }, context)).state, 'stopping');
  const stopped = await untilState(id, 'stopped', context);
  assert.equal(stopped.exitCode, 0);
  assert.equal(world.metering.runs[0]?.stoppedAtMs, stopped.stoppedAtMs);

  await bootVm(id, context);
  const again = await untilState(id, 'running', context);
  assert.equal(again.bootEpoch, 2);
  assert.equal(again.exitCode, undefined);
  assert.equal(world.hypervisor.processes.length, 2);

  const deleted = await deleteVm(id, context);
  assert.equal(deleted.state, 'deleted');
  assert.deepEqual(world.metering.finalSamples, [id], 'the last counters are read before the end');
  assert.equal(world.metering.runs[1]?.stoppedAtMs, deleted.stoppedAtMs);
  assertNothingTaken();
  const repeated = await deleteVm(id, context);
  assert.equal(repeated.deletedAtMs, deleted.deletedAtMs);
});

test('the same creation again is the same VM; another one under its id is refused', async () => {
  const both = await Promise.all([1, 2].map(() => createVm({ id, spec: world.spec() }, context)));
  assert.deepEqual(both[0]?.process, both[1]?.process);
  assert.equal(world.hypervisor.processes.length, 1);
  await assert.rejects(createVm({ id, spec: world.spec({ vcpus: 2 }) }, context), (error) =>
    isIngotError(error, 'already_exists'),
  );
  await deleteVm(id, context);
  await assert.rejects(createVm({ id, spec: world.spec() }, context), /is DELETED/);
});

for (const [step, breakIt, reason] of [
  [
    'the rootfs is missing',
    () => world.assets.assets.delete(world.assets.rootfsId),
    'asset_missing',
  ],
  ['no kernel is there', () => world.assets.assets.delete(world.assets.kernelId), 'asset_missing'],
  ['no initrd is there', () => world.assets.assets.delete(world.assets.initrdId), 'asset_missing'],
  ['assetmanagerd is away', () => (world.assets.away = true), 'unavailable'],
  [
    'the network has no slot',
    () => (world.network.failNextMake = new IngotError('host_full', 'full')),
    'host_full',
  ],
  [
    'the VMM does not start',
    () => (world.hypervisor.failNextLaunch = new IngotError('boot_failed', 'no such machine')),
    'boot_failed',
  ],
] as const) {
  test(`creation when ${step}: everything is given back, and it works once that is mended`, async () => {
    const had = new Map(world.assets.assets);
    breakIt();
    await assert.rejects(createVm({ id, spec: world.spec() }, context), (error) => {
      assert.ok(isIngotError(error, reason), String(error));
      if (reason === 'asset_missing') assert.match(error.message, /rootfs|kernel|initrd/);
      return true;
    });
    world.assets.away = false;
    for (const [asset_, type] of had) world.assets.assets.set(asset_, type);
    await reconcileVm(id, context);
    assert.equal(await context.store.get(id), undefined);
    assertNothingTaken();
    assert.equal((await createVm({ id, spec: world.spec() }, context)).state, 'created');
  });
}

test('a kernel that is not there falls back to the default one; one that is there is taken', async () => {
  await createVm({ id, spec: world.spec({ kernelAssetId: newVmId() }) }, context);
  assert.ok(world.assets.leases.get(id)?.has(world.assets.kernelId));
  const own = newVmId();
  world.assets.assets.set(own, asset.AssetType.KERNEL);
  const other = newVmId();
  await createVm({ id: other, spec: world.spec({ kernelAssetId: own }) }, context);
  assert.ok(world.assets.leases.get(other)?.has(own));
});

test('an app that exits before it answers: FAILED at once, with exit code and last lines', async () => {
  world.answering = false;
  await createVm({ id, spec: world.spec({ readyTimeoutSeconds: 60 }) }, context);
  await bootVm(id, context);
  await delay(30);
  const [vmm] = world.hypervisor.alive;
  for (let line = 1; line <= 30; line++) vmm?.print(`line ${line}\n`);
  const began = performance.now();
  vmm?.end({ appExitCode: 3 });
  const failed = await untilState(id, 'failed', context);
  assert.ok(performance.now() - began < 200);
  assert.equal(failed.failure?.reason, 'app_exited');
  assert.equal(failed.failure?.exitCode, 3);
  assert.equal(failed.failure?.log.length, 20);
  assert.equal(failed.failure?.log.at(-1), 'line 30');
  assert.equal(world.metering.runs[0]?.stoppedAtMs, failed.stoppedAtMs);
  await assert.rejects(bootVm(id, context), /is FAILED and cannot become BOOTING/);
  await deleteVm(id, context);
  assertNothingTaken();
});

test('an app that ends with 0 before it answered has failed too', async () => {
  world.answering = false;
  world.hypervisor.onStart = (vmm) => vmm.end({ appExitCode: 0 });
  await createVm({ id, spec: world.spec() }, context);
  await bootVm(id, context);
  const failed = await untilState(id, 'failed', context);
  assert.equal(failed.failure?.reason, 'app_exited');
  assert.equal(failed.failure?.exitCode, 0);
});

test('an app that never answers: FAILED with not_ready after its time, the VMM is ended', async () => {
  world.answering = false;
  await createVm({ id, spec: world.spec({ readyTimeoutSeconds: 1 }) }, context);
  await bootVm(id, context);
  const failed = await untilState(id, 'failed', context);
  assert.equal(failed.failure?.reason, 'not_ready');
  assert.match(failed.failure?.message ?? '', /port 8080 within 1 seconds/);
  assert.deepEqual(world.hypervisor.alive, []);
  assert.deepEqual(world.metering.finalSamples, [id]);
});

for (const [how, exit, state, reason] of [
  ['the app is done with 0', { appExitCode: 0 }, 'stopped', undefined],
  ['the app exits with 7', { appExitCode: 7 }, 'failed', 'app_exited'],
  ['a signal ends the app', { appExitCode: 139 }, 'failed', 'app_exited'],
  ['the VMM vanishes', {}, 'failed', 'vmm_crashed'],
  ['PID 1 cannot go on', { guestError: 'no such user: web' }, 'failed', 'boot_failed'],
] as const) {
  test(`a running VM when ${how}: ${state}, and no longer metered`, async () => {
    await running();
    world.hypervisor.alive[0]?.end(exit);
    const ended = await untilState(id, state, context);
    assert.equal(ended.failure?.reason, reason);
    await delay(10);
    assert.deepEqual(world.metering.openRuns(), []);
    assert.equal(world.metering.measured.size, 0);
  });
}

test('a VMM that dies while it is held fails the VM without a bill', async () => {
  await createVm({ id, spec: world.spec() }, context);
  world.hypervisor.alive[0]?.end();
  const failed = await untilState(id, 'failed', context);
  assert.equal(failed.failure?.reason, 'vmm_crashed');
  assert.equal(failed.stoppedAtMs, undefined);
  assert.deepEqual(world.metering.runs, []);
});

test('a guest that cannot be started fails the VM with boot_failed', async () => {
  await createVm({ id, spec: world.spec() }, context);
  world.hypervisor.failNextStart = new IngotError('command_failed', 'QMP says no');
  await assert.rejects(bootVm(id, context), /QMP says no/);
  const failed = await untilState(id, 'failed', context);
  assert.equal(failed.failure?.reason, 'boot_failed');
  assert.deepEqual(world.metering.openRuns(), []);
  assert.deepEqual(world.hypervisor.alive, []);
});

test('a guest that ignores the request to stop is ended after its grace', async () => {
  await running();
  const vmm = world.hypervisor.alive[0]!;
  vmm.obeysWith = undefined;
  const began = performance.now();
  await shutdownVm({ id, graceMs: 150 }, context);
  assert.equal((await shutdownVm({ id, graceMs: 150 }, context)).state, 'stopping');
  const stopped = await untilState(id, 'stopped', context);
  assert.ok(performance.now() - began >= 149);
  assert.equal(vmm.shutdownRequests, 1);
  assert.equal(stopped.exitCode, undefined);
  assert.deepEqual(world.hypervisor.alive, []);
});

test('what is illegal names the state', async () => {
  await createVm({ id, spec: world.spec() }, context);
  await assert.rejects(shutdownVm({ id, graceMs: 1 }, context), (error) => {
    assert.ok(isIngotError(error, 'illegal_state'));
    assert.match(error.message, /is CREATED and cannot become STOPPING/);
    return true;
  });
  await assert.rejects(bootVm(newVmId(), context), (error) => isIngotError(error, 'vm_not_found'));
});

test('a deletion while assetmanagerd is away is done; the leases go when it is back', async () => {
  await running();
  world.assets.away = true;
  assert.equal((await deleteVm(id, context)).state, 'deleted');
  assert.equal(world.assets.leases.size, 1);
  world.assets.away = false;
  await reconcileVm(id, context);
  assertNothingTaken();
  assert.deepEqual(await context.store.unsettled(), []);
});

test('leases are renewed; lost ones are taken anew', async () => {
  await running();
  await renewLeases(context);
  assert.equal(world.assets.renewals, 1);
  world.assets.leases.clear();
  await renewLeases(context);
  assert.equal(world.assets.leases.get(id)?.size, 3);
  const held = (await context.store.get(id))?.assets?.leaseIds.toSorted();
  assert.deepEqual(held, [...world.assets.leases.get(id)!.values()].toSorted());
});

test('deleted VMs are forgotten by number and age, never while something is left to do', async () => {
  await createVm({ id, spec: world.spec() }, context);
  const other = newVmId();
  await createVm({ id: other, spec: world.spec() }, context);
  world.assets.away = true;
  await deleteVm(other, context);
  world.assets.away = false;
  await deleteVm(id, context);
  await context.store.forgetDeleted(0, 1);
  assert.ok(await context.store.get(id));
  await context.store.forgetDeleted(0, 0);
  assert.equal(await context.store.get(id), undefined);
  assert.ok(await context.store.get(other));
  assert.ok(!existsSync(join(context.vmsDir, other)));
});
