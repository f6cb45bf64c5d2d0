import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, request as httpRequest, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { gateway, metal } from '@ingot/contracts';
import { IngotError } from '@ingot/daemon-kit';
import { eventually, Installation } from './test/installation.ts';

const { DeploymentState } = gateway;
const { VmState } = metal;
const exitedWith = (exitCode: number) => ({
  state: VmState.FAILED,
  failure: create(metal.VmFailureSchema, {
    ...{ reason: 'app_exited', message: `the app exited with ${exitCode}`, exitCode },
    log: ['last words'],
  }),
});

let old: Server;
let fresh: Server;
let it: Installation;

async function serve(text: string): Promise<Server> {
  const server = createServer((request, response) => {
    const delayMs = Number(new URL(request.url ?? '/', 'http://x').searchParams.get('ms') ?? 0);
    setTimeout(() => response.end(text), delayMs);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}
const endpointOf = (server: Server) => `127.0.0.1:${(server.address() as AddressInfo).port}`;

before(async () => {
  old = await serve('old');
  fresh = await serve('fresh');
});
after(() => {
  old.close();
  fresh.close();
});
beforeEach(async () => {
  it = await Installation.start({ drainSeconds: 5 });
  it.host.endpoint = endpointOf(old);
});
afterEach(() => it.stop());

async function visit(name: string, path = '/', accept = '*/*') {
  const { hostname, port } = new URL(it.gatewayd.url);
  const headers = { host: `${name}.localhost`, accept };
  const [answer] = (await once(
    httpRequest({ hostname, port, path, headers, agent: false }).end(),
    'response',
  )) as [IncomingMessage];
  let text = '';
  for await (const chunk of answer) text += String(chunk);
  return { status: answer.statusCode, headers: answer.headers, text };
}

function lastOf(events: gateway.DeployEvent[]): gateway.Deployment {
  const event = events.at(-1)?.event;
  assert.ok(event?.case === 'ready' || event?.case === 'failed', `ended with ${event?.case}`);
  return event.value;
}

test('a new revision takes over without cutting what runs, and the old VM goes', async () => {
  await it.deploy('shop');
  const running = visit('shop', '/?ms=400');
  it.host.endpoint = endpointOf(fresh);
  const { revision, state } = lastOf(await it.deploy('shop'));
  assert.deepEqual([revision, state], [2, DeploymentState.READY]);
  assert.equal((await visit('shop')).text, 'fresh');
  assert.equal(it.host.vms.size, 2);
  assert.equal((await running).text, 'old');
  await eventually(() => assert.equal(it.host.vms.size, 1));
});

test('a revision that fails leaves the one before it serving, and says so', async () => {
  await it.deploy('shop');
  it.host.onBoot = (vm) => it.host.set(vm.id, exitedWith(3));
  const events = await it.deploy('shop');
  assert.equal(events.at(-1)?.event.case, 'failed');
  const { failure, state } = lastOf(events);
  assert.equal(state, DeploymentState.READY);
  assert.match(failure?.message ?? '', /exited with 3; revision 1 keeps serving/);
  assert.equal((await visit('shop')).text, 'old');
  await eventually(() => assert.equal(it.host.vms.size, 1));
});

test('a build that fails says at which step and why, and no VM is made', async () => {
  it.builder.failure = { reason: 'image_not_found', message: 'no such image', remedy: 'push it' };
  const { failure } = lastOf(await it.deploy('shop'));
  assert.deepEqual(
    [failure?.step, failure?.reason, failure?.message, failure?.remedy],
    ['build', 'image_not_found', 'no such image', 'push it'],
  );
  assert.deepEqual(failure?.log, ['pulling', 'writing']);
  it.builder.failure = undefined;
  it.builder.config = {};
  assert.equal(lastOf(await it.deploy('empty')).failure?.reason, 'image_no_command');
  assert.equal(it.host.calls.length, 0);
});

test('a host that refuses fails the deploy at that step and keeps nothing', async () => {
  it.host.before = (method) => {
    if (method === 'createVm') throw new IngotError('host_full', 'no memory left');
  };
  const { failure } = lastOf(await it.deploy('shop'));
  assert.deepEqual([failure?.step, failure?.reason], ['create', 'host_full']);
});

test('stopped, started and deleted: each has its own page and leaves nothing behind', async () => {
  await it.deploy('shop');
  const stopped = await it.deploys.stop({ name: 'shop' });
  assert.equal(stopped.state, DeploymentState.STOPPED);
  assert.equal(it.host.vms.size, 0);
  const page = await visit('shop', '/', 'text/html');
  assert.deepEqual([page.status, page.headers['ingot-reason']], [503, 'stopped']);
  assert.equal(page.headers['retry-after'], undefined);
  assert.match(page.text, /<h1>Stopped<\/h1>/);
  const events = [];
  for await (const event of it.deploys.start({ name: 'shop' })) events.push(event);
  assert.equal(lastOf(events).revision, 1);
  assert.equal(it.builder.builds.size, 1);
  assert.equal((await visit('shop')).text, 'old');
  await it.deploys.delete({ name: 'shop' });
  assert.equal(it.host.vms.size, 0);
  const gone = await visit('shop', '/', 'application/json');
  assert.deepEqual([gone.status, JSON.parse(gone.text).error.reason], [404, 'unknown']);
  assert.equal(lastOf(await it.deploy('shop')).revision, 1);
});

test('a deploy on its way shows a page that comes back by itself; deleting ends it', async () => {
  const gate = Promise.withResolvers<void>();
  it.builder.gate = gate.promise;
  const deploying = it.deploy('shop');
  await eventually(async () => {
    const page = await visit('shop', '/', 'text/html');
    assert.deepEqual([page.status, page.headers['retry-after']], [503, '2']);
    assert.match(page.text, /http-equiv="refresh"/);
  });
  await it.deploys.delete({ name: 'shop' });
  assert.equal(lastOf(await deploying).failure?.reason, 'cancelled');
  gate.resolve();
});

test('a newer deploy overtakes the one on its way', async () => {
  const gate = Promise.withResolvers<void>();
  it.builder.gate = gate.promise;
  const first = it.deploy('shop');
  await eventually(() => assert.equal(it.builder.builds.size, 1));
  const second = it.deploy('shop');
  assert.equal(lastOf(await first).failure?.reason, 'cancelled');
  gate.resolve();
  assert.equal(lastOf(await second).state, DeploymentState.READY);
  assert.equal(it.host.vms.size, 1);
});

test('an app that ends after it was ready fails the deployment with its code and log', async () => {
  await it.deploy('shop');
  const [vm] = it.host.vms.keys();
  it.host.set(vm ?? '', exitedWith(137));
  await eventually(async () => {
    const { state, failure } = await it.deploys.get({ name: 'shop' });
    assert.equal(state, DeploymentState.FAILED);
    assert.deepEqual([failure?.step, failure?.exitCode], ['run', 137]);
    assert.deepEqual(failure?.log, ['last words']);
  });
  await eventually(() => assert.equal(it.host.vms.size, 0));
  const log = [];
  for await (const { data } of it.deploys.streamLogs({ name: 'shop' })) log.push(data);
  assert.match(Buffer.concat(log).toString(), /last words/);
  assert.equal((await visit('shop')).status, 502);
});

test('a VM the host lost gets another when the host is back', async () => {
  await it.deploy('shop');
  const lost = await it.deploys.get({ name: 'shop' });
  await it.stopPeer('metald');
  it.host.vms.clear();
  await it.startPeer('metald');
  await eventually(async () => {
    const { state, vmId, failure } = await it.deploys.get({ name: 'shop' });
    assert.equal(state, DeploymentState.READY);
    assert.notEqual(vmId, lost.vmId);
    assert.equal(failure, undefined);
  });
  assert.deepEqual([...it.host.vms.keys()], [(await it.deploys.get({ name: 'shop' })).vmId]);
  assert.equal((await it.deploys.get({ name: 'shop' })).revision, lost.revision);
});

test('a VM that nobody owns is removed', async () => {
  const id = '11111111-1111-4111-8111-111111111111';
  it.host.vms.set(id, create(metal.VmSchema, { id, state: VmState.RUNNING }));
  it.host.set(id, {});
  await eventually(() => assert.equal(it.host.vms.size, 0));
});

test('the same idempotency key joins the same deploy', async () => {
  const [first, second] = await Promise.all([
    it.deploy('shop', { idempotencyKey: 'k' }),
    it.deploy('other').then(() => it.deploy('shop', { idempotencyKey: 'k' })),
  ]);
  assert.deepEqual(first, second);
  assert.equal(lastOf(second).revision, 1);
  await assert.rejects(it.deploy('shop', { idempotencyKey: 'k', image: 'another' }), {
    reason: 'already_exists',
  });
});

test('billing that is away is told, and does not stop the deploy', async () => {
  it.host.onBoot = (vm) => it.host.set(vm.id, { state: VmState.RUNNING, billingDegraded: true });
  const events = await it.deploy('shop');
  assert.ok(events.some(({ event }) => event.case === 'warning' && /billing/.test(event.value)));
  assert.equal(lastOf(events).state, DeploymentState.READY);
  assert.ok((await it.deploys.get({ name: 'shop' })).billingDegraded);
});

test('a daemon that restarts in the middle does not fail the deploy', async () => {
  for (const [peer, fake, method] of [
    ['builderd', it.builder, 'streamBuildLogs'],
    ['metald', it.host, 'createVm'],
    ['metald', it.host, 'bootVm'],
  ] as const) {
    let broken = false;
    fake.before = async (called) => {
      if (called !== method || broken) return;
      broken = true;
      await it.stopPeer(peer);
      setTimeout(() => void it.startPeer(peer), 150);
    };
    const name = method.toLowerCase();
    assert.equal(lastOf(await it.deploy(name)).state, DeploymentState.READY, method);
    assert.ok(broken);
  }
  assert.equal(it.host.vms.size, 3);
});

test('a deploy that cannot get on ends at its deadline and says what was in the way', async () => {
  await it.gatewayd.stop();
  await it.startGatewayd({ deployTimeoutSeconds: 0.5 });
  await it.stopPeer('builderd');
  const { failure } = lastOf(await it.deploy('shop'));
  assert.deepEqual([failure?.step, failure?.reason], ['build', 'deadline_exceeded']);
  assert.match(failure?.message ?? '', /not ready within 0.5 s; the last error was: /);
});

const steps = [
  ['builder', 'buildFromImage'],
  ['builder', 'streamBuildLogs'],
  ['builder', 'getBuild'],
  ['host', 'createVm'],
  ['host', 'getVm'],
  ['host', 'bootVm'],
  ['host', 'booted'],
] as const;
for (const [who, method] of steps) {
  for (const when of ['before', 'after']) {
    test(`a gateway that dies ${when} ${method} goes on where it was`, async () => {
      const reached = Promise.withResolvers<void>();
      const fake = it[who];
      let armed = true;
      if (method === 'booted') {
        it.host.onBoot = (vm) => {
          if (when === 'after') it.host.set(vm.id, { state: VmState.RUNNING });
          reached.resolve();
        };
      } else {
        fake.before = (called) => {
          if (called !== method || !armed) return undefined;
          reached.resolve();
          // "after": what was asked is done, and the answer lost.
          return when === 'before'
            ? it.over.promise
            : new Promise((resolve) => setTimeout(resolve, 60));
        };
      }
      const cut = assert.rejects(it.deploy('shop'));
      await reached.promise;
      await it.gatewayd.stop();
      await cut;
      armed = false;
      it.host.onBoot = (vm) => it.host.set(vm.id, { state: VmState.RUNNING });
      if (method === 'booted') {
        for (const { id } of it.host.vms.values()) it.host.set(id, { state: VmState.RUNNING });
      }
      await new Promise((resolve) => setTimeout(resolve, 80));
      await it.startGatewayd();
      await eventually(async () => {
        const { state } = await it.deploys.get({ name: 'shop' });
        assert.equal(state, DeploymentState.READY);
      });
      assert.equal((await visit('shop')).text, 'old');
      assert.equal(it.host.vms.size, 1);
      assert.equal(it.builder.builds.size, 1);
      await it.deploys.delete({ name: 'shop' });
      assert.equal(it.host.vms.size, 0);
    });
  }
}

for (const method of ['shutdownVm', 'deleteVm']) {
  test(`a gateway that dies at ${method} while deleting goes on deleting`, async () => {
    await it.deploy('shop');
    const reached = Promise.withResolvers<void>();
    it.host.before = (called) => {
      if (called !== method) return undefined;
      reached.resolve();
      return it.over.promise;
    };
    const cut = assert.rejects(it.deploys.delete({ name: 'shop' }));
    await reached.promise;
    await it.gatewayd.stop();
    await cut;
    it.host.before = () => undefined;
    await it.startGatewayd();
    await eventually(() => assert.equal(it.host.vms.size, 0));
    await eventually(() =>
      assert.rejects(it.deploys.get({ name: 'shop' }), { reason: 'deployment_not_found' }),
    );
  });
}
