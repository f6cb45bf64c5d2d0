// Daemons killed with -9 at bad moments: deploys end, usage is whole, nothing is left over.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { metal } from '@ingot/contracts';
import { startRegistry } from '@ingot/testkit';
import { cpuNsOf, hostTraces, noTraces, processesIn, vmmPid } from './host-traces.ts';
import { publish, staticImage } from './images.ts';
import { type Daemon, daemons, Instance, until } from './instance.ts';

let instance: Instance;
let registry: Awaited<ReturnType<typeof startRegistry>>;
let hostId: string;
let image: string;

before(async () => {
  instance = await Instance.start();
  hostId = await instance.hostId();
  registry = await startRegistry({ dir: join(instance.dataDir, 'test-registry') });
  image = await publish(registry, 'app', await staticImage());
});

after(async () => {
  await registry.stop();
  await instance.down();
  instance.removeData();
});

test('billaged away while deploying: the deploy works and says so, and nothing of the usage is lost', async () => {
  const pid = instance.pidOf('billaged');
  process.kill(pid, 'SIGSTOP');
  process.kill(pid, 'SIGKILL');
  const result = await instance.ingot('deploy', '--json', '--name', 'away', '--image', image);
  assert.equal(result.code, 0, result.stdout + result.stderr);
  assert.match(result.stdout, /billing/, 'the user is told');
  // So much work that what the guest needs to shut down hardly counts beside it.
  await instance.fetch('away', '/cgi-bin/burn?8');
  const { vmId } = await instance.deployments().get({ name: 'away' });
  await instance.ready('billaged');
  const vmm = vmmPid(vmId);
  const cpu = cpuNsOf(vmm);
  assert.equal((await instance.ingot('rm', 'away')).code, 0);
  const vm = await (await instance.vms()).getVm({ vmId });
  const started = Number(vm.startedAt?.seconds ?? 0n) * 1000 + (vm.startedAt?.nanos ?? 0) / 1e6;
  const stopped = Number(vm.stoppedAt?.seconds ?? 0n) * 1000 + (vm.stoppedAt?.nanos ?? 0) / 1e6;
  const lifeMs = BigInt(Math.trunc(stopped) - Math.trunc(started));
  await until('all of the usage to arrive', async () => {
    const usage = (await instance.usageOf('away'))?.usage;
    return usage !== undefined && usage.vmMs >= lifeMs;
  });
  // Time for a batch to arrive twice, if it could.
  await delay(4000);
  const usage = (await instance.usageOf('away'))?.usage;
  assert.equal(usage?.vmMs, lifeMs);
  const ratio = Number(usage.cpuNs) / Number(cpu);
  assert.ok(ratio > 0.95 && ratio < 1.05, `usage says ${usage.cpuNs} ns, the VMM used ${cpu}`);
});

test('metald killed and started again finds its VMs alive and goes on with them', async () => {
  await instance.deploy('survivor', image);
  const { vmId } = await instance.deployments().get({ name: 'survivor' });
  const vmm = vmmPid(vmId);
  await instance.killDaemon('metald');
  assert.equal(vmmPid(vmId), vmm);
  assert.equal((await instance.fetch('survivor')).status, 200);
  const vm = await (await instance.vms()).getVm({ vmId });
  assert.equal(vm.state, metal.VmState.RUNNING);
  const earlier = (await instance.usageOf('survivor'))?.usage?.vmMs ?? 0n;
  await until('metering to go on', async () => {
    return ((await instance.usageOf('survivor'))?.usage?.vmMs ?? 0n) > earlier;
  });
});

test('taken down and brought up again, what was ready becomes ready again', async () => {
  assert.equal((await instance.down()).code, 0);
  assert.deepEqual(hostTraces(hostId), noTraces);
  await instance.up();
  await until('the deployment to answer', async () => {
    return (await instance.fetch('survivor')).status === 200;
  });
  assert.equal((await instance.ingot('rm', 'survivor')).code, 0);
});

// Each daemon once, at moments spread over a deploy by a fixed rule, so that a failure can be repeated.
for (const [index, daemon] of daemons.entries()) {
  test(`${daemon} killed with -9 in the middle of a deploy: the deploy ends, nothing is left over`, async () => {
    const name = `mid-${daemon}`;
    // A fresh digest, so that the build is part of what is cut.
    const fresh = await publish(registry, name, await staticImage(name));
    const deploy = instance.ingot('deploy', '--json', '--name', name, '--image', fresh);
    await delay(350 + index * 400);
    await instance.killDaemon(daemon satisfies Daemon);
    const result = await deploy;
    const last = result.events.at(-1);
    assert.ok(
      last?.['event'] === 'ready' || last?.['event'] === 'failed',
      result.stdout + result.stderr,
    );
    if (last['event'] === 'ready') assert.equal((await instance.fetch(name)).status, 200);
    else assert.ok(last['reason'], 'a failure has a reason');
    assert.equal((await instance.ingot('rm', name)).code, 0);
    await until('its VM to be gone', async () =>
      (await (await instance.vms()).listVms({})).vms.every(
        (vm) => vm.state === metal.VmState.DELETED,
      ),
    );
  });
}

test('after all of it, nothing is left on the host', async () => {
  await registry.stop();
  assert.notDeepEqual(hostTraces(hostId), noTraces, 'what is looked for can be seen');
  const down = await instance.down();
  assert.equal(down.code, 0, down.stderr);
  await delay(200);
  assert.deepEqual(processesIn(instance.dataDir), []);
  assert.deepEqual(hostTraces(hostId), noTraces);
});
