// The first path through the system, as a user walks it: deploy, answer, log, usage, remove.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { gateway, metal } from '@ingot/contracts';
import { startRegistry } from '@ingot/testkit';
import { cpuNsOf, hostTraces, noTraces, processesIn, vmmPid } from './host-traces.ts';
import { debianImage, failingImage, publish, staticImage } from './images.ts';
import { Instance, until } from './instance.ts';

let instance: Instance;
let registry: Awaited<ReturnType<typeof startRegistry>>;
let hostId: string;
let shop: string;

before(async () => {
  instance = await Instance.start();
  hostId = await instance.hostId();
  registry = await startRegistry({ dir: join(instance.dataDir, 'test-registry') });
  shop = await publish(registry, 'shop', await staticImage());
});

after(async () => {
  await instance.down();
  await registry.stop();
  instance.removeData();
});

test('a deploy ends with a URL that answers from inside a microVM', async () => {
  const result = await instance.ingot(
    ...['deploy', '--json', '--name', 'shop', '--image', shop, '--env', 'COLOR=blue'],
  );
  assert.equal(result.code, 0, result.stdout + result.stderr);
  const last = result.events.at(-1);
  assert.equal(last?.['event'], 'ready');
  assert.equal(last?.['url'], `http://shop.localhost:${instance.gatewayPort}`);
  const answer = await instance.fetch('shop');
  assert.equal(answer.status, 200);
  assert.equal(answer.body, 'hello from inside a microVM\n');
});

test("the image's environment, user and working directory are honoured, and --env wins", async () => {
  const env = (await instance.fetch('shop', '/cgi-bin/env')).body.split('\n');
  assert.ok(env.includes('FROM_IMAGE=yes'));
  assert.ok(env.includes('COLOR=blue'));
  assert.ok(env.includes('PORT=8000'));
  const [uid, gid, , hostname] = (await instance.fetch('shop', '/cgi-bin/who')).body.split('\n');
  assert.deepEqual([uid, gid, hostname], ['1000', '1001', 'shop']);
});

test("the guest's clock is the host's", async () => {
  const guest = Number((await instance.fetch('shop', '/cgi-bin/clock')).body);
  assert.ok(Math.abs(guest - Date.now() / 1000) < 2, `guest says ${guest}`);
});

test('the app may write what its user may write, and no more', async () => {
  const { body } = await instance.fetch('shop', '/cgi-bin/write');
  assert.match(body, /^written$/m);
  assert.doesNotMatch(body, /root writable/);
  assert.match(body, /null writable/);
});

test('the serial console is the log', async () => {
  await instance.fetch('shop', '/cgi-bin/log');
  await until('the line to be in the log', async () => {
    const { stdout } = await instance.ingot('logs', 'shop');
    return stdout.includes('a line for the log\n');
  });
});

test('the VMM runs without root, sandboxed, outside the process tree of metald', async () => {
  const { vmId } = await instance.deployments().get({ name: 'shop' });
  const { readFileSync } = await import('node:fs');
  const status = readFileSync(`/proc/${vmmPid(vmId)}/status`, 'utf8');
  const field = (name: string): string =>
    new RegExp(`^${name}:\\s+(.*)$`, 'm').exec(status)?.[1]?.split(/\s+/)[0] ?? '';
  assert.notEqual(field('Uid'), '0');
  assert.equal(field('Seccomp'), '2');
  assert.equal(field('PPid'), '1');
});

test('an image of Debian packages runs: nginx, two layers, its log on the console', async () => {
  const image = await publish(registry, 'web', await debianImage());
  await instance.deploy('web', image, '--memory', '192');
  const answer = await instance.fetch('web', '/', { 'user-agent': 'system-test' });
  assert.equal(answer.body, 'nginx from Debian packages\n');
  await until('the request to be in the log', async () =>
    (await instance.ingot('logs', 'web')).stdout.includes('system-test'),
  );
  assert.equal((await instance.ingot('rm', 'web')).code, 0);
});

test('an app that exits fails the deploy at once, with its exit code and its last lines', async () => {
  const image = await publish(registry, 'broken', await failingImage());
  const result = await instance.ingot('deploy', '--json', '--name', 'broken', '--image', image);
  assert.equal(result.code, 1);
  const last = result.events.at(-1);
  assert.equal(last?.['event'], 'failed');
  assert.equal(last['reason'], 'app_exited');
  assert.match(JSON.stringify(last), /exit(ed with|_?[cC]ode)\D*3/);
  assert.match(JSON.stringify(last['log']), /no database to be found/);
  const page = await instance.fetch('broken');
  assert.equal(page.status, 502);
  assert.doesNotMatch(page.body, /no database/);
  assert.equal((await instance.ingot('rm', 'broken')).code, 0);
});

test('two tenants: neither sees the other, and no path leads between their VMs', async () => {
  const tenant = await instance.tenants().createTenant({ name: 'rival' });
  const { secret } = await instance.keys().createKey({ tenantId: tenant.id, name: 'test' });
  const rival = await instance.ingotWith(
    { INGOT_KEY: secret },
    ...['deploy', '--json', '--name', 'rival', '--image', shop],
  );
  assert.equal(rival.code, 0, rival.stdout + rival.stderr);

  const theirs = instance.deployments(secret);
  assert.deepEqual(
    (await theirs.list({})).deployments.map((d) => d.spec?.name),
    ['rival'],
  );
  await assert.rejects(theirs.get({ name: 'shop' }), { reason: 'deployment_not_found' });
  await assert.rejects(theirs.delete({ name: 'shop' }), { reason: 'deployment_not_found' });
  const taken = await instance.ingotWith(
    { INGOT_KEY: secret },
    ...['deploy', '--name', 'shop', '--image', shop],
  );
  assert.equal(taken.code, 1);
  assert.match(taken.stderr, /taken/);

  const vms = await instance.vms();
  const { vmId } = await theirs.get({ name: 'rival' });
  const endpoint = (await vms.getVm({ vmId })).endpoint;
  const reach = async (target: string): Promise<string> =>
    (await instance.fetch('shop', `/cgi-bin/reach?${target}`)).body.trim();
  assert.equal(await reach(endpoint), 'closed', 'another VM');
  assert.equal(await reach(`${endpoint.split(':')[0]}:22`), 'closed', 'another VM, other port');
  const host = endpoint.split(':')[0]?.replace(/\.\d+$/, '.1') ?? '';
  assert.equal(await reach(`${host}:${instance.gatewayPort}`), 'closed', 'the host');
  assert.equal(await reach('127.0.0.1:8000'), 'open', 'itself, so that the probe is known to work');
  await theirs.delete({ name: 'rival' });
});

test('usage: CPU within 5 % of what the VMM used, memory and VM time exact to the sample', async () => {
  const { vmId } = await instance.deployments().get({ name: 'shop' });
  await instance.fetch('shop', '/cgi-bin/burn?6');
  const pid = vmmPid(vmId);
  const cpuBefore = cpuNsOf(pid);
  assert.equal((await instance.ingot('rm', 'shop')).code, 0);
  const vms = await instance.vms();
  await until('the last batch to be stored', async () => {
    const usage = await instance
      .usage()
      .getUsage({ name: 'shop', fromUnixMs: 1n, toUnixMs: BigInt(Date.now()) });
    const stored = usage.deployments[0]?.usage?.usage;
    const vm = await vms.getVm({ vmId });
    return stored !== undefined && stored.vmMs >= lifeMs(vm);
  });
  const usage = (await instance.usageOf('shop'))?.usage;
  assert.ok(usage);
  const ratio = Number(usage.cpuNs) / Number(cpuBefore);
  assert.ok(
    ratio > 0.95 && ratio < 1.05,
    `usage says ${usage.cpuNs} ns, the VMM used ${cpuBefore}`,
  );
  const vm = await vms.getVm({ vmId });
  assert.equal(usage.vmMs, lifeMs(vm), 'every millisecond between start and stop');
  const memoryBytes = BigInt(vm.spec?.memoryMib ?? 0) * 1024n * 1024n;
  assert.equal(BigInt(usage.memoryByteMs), usage.vmMs * memoryBytes);
  assert.ok(usage.netRxBytes > 0n && usage.netTxBytes > 0n);
  const shown = await instance.ingot('usage', 'shop');
  assert.equal(shown.code, 0, shown.stderr);
  assert.match(shown.stdout, /core-hour/);
});

function lifeMs(vm: metal.Vm): bigint {
  const at = (time: typeof vm.startedAt): bigint =>
    time ? time.seconds * 1000n + BigInt(Math.trunc(time.nanos / 1e6)) : 0n;
  return at(vm.stoppedAt) - at(vm.startedAt);
}

test('unknown, stopped and failed deployments answer differently', async () => {
  await instance.deploy('pages', shop);
  assert.equal((await instance.ingot('stop', 'pages')).code, 0);
  const stopped = await instance.fetch('pages');
  const unknown = await instance.fetch('nobody');
  assert.equal(stopped.status, 503);
  assert.equal(unknown.status, 404);
  assert.notEqual(stopped.body, unknown.body);
  assert.equal((await instance.ingot('start', 'pages')).code, 0);
  assert.equal((await instance.fetch('pages')).status, 200);
  const listed = await instance.deployments().list({});
  const pages = listed.deployments.find((one) => one.spec?.name === 'pages');
  assert.equal(pages?.state, gateway.DeploymentState.READY);
});

test('after rm and down nothing is left: process, namespace, device, mount, file handle, file', async () => {
  assert.equal((await instance.ingot('rm', 'pages')).code, 0);
  await until('every VM to be gone', async () =>
    (await (await instance.vms()).listVms({})).vms.every(
      (vm) => vm.state === metal.VmState.DELETED,
    ),
  );
  assert.deepEqual(readdirSync(join(instance.dataDir, 'staging')), []);
  await registry.stop();
  assert.notDeepEqual(hostTraces(hostId), noTraces, 'what is looked for can be seen');
  const down = await instance.down();
  assert.equal(down.code, 0, down.stderr);
  await delay(200);
  assert.deepEqual(processesIn(instance.dataDir), []);
  assert.deepEqual(hostTraces(hostId), noTraces);
  assert.deepEqual(readdirSync(join(instance.dataDir, 'metald/vms')), []);
});
