import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { gateway, metal } from '@ingot/contracts';
import { eventually, Installation } from './test/installation.ts';

const { DeploymentState } = gateway;
let app: Server;
let endpoint: string;
let it: Installation;

before(async () => {
  app = createServer((request, response) => response.end(`hello from ${request.url}`));
  await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', resolve));
  endpoint = `127.0.0.1:${(app.address() as AddressInfo).port}`;
});
after(() => app.close());
beforeEach(async () => {
  it = await Installation.start({ drainSeconds: 1 });
  it.host.endpoint = endpoint;
});
afterEach(() => it.stop());

/** Asks as a client of the deployment would. */
async function visit(name: string, accept = '*/*') {
  const { request } = await import('undici');
  const answer = await request(`${it.gatewayd.url}/path`, {
    headers: { host: `${name}.localhost`, accept },
  });
  return { status: answer.statusCode, headers: answer.headers, text: await answer.body.text() };
}

function told(events: gateway.DeployEvent[]): string[] {
  return events.map(({ event }) => {
    if (event.case === 'step') return `step ${event.value.name}`;
    return typeof event.value === 'string' ? `${event.case} ${event.value}` : `${event.case}`;
  });
}

test('a deploy goes through build, create, boot and health and is then served', async () => {
  const events = await it.deploy('shop', { env: ['COLOR=blue'] });
  assert.deepEqual(told(events), [
    'step build',
    'detail pulling',
    'detail writing',
    'step create',
    'step boot',
    'step health',
    'ready',
  ]);
  const [vm] = it.host.vms.values();
  assert.deepEqual(vm?.spec?.app?.args, ['/app', 'serve']);
  assert.deepEqual(vm?.spec?.app?.env, ['PATH=/bin', 'PORT=3000', 'COLOR=blue']);
  assert.equal(vm?.spec?.memoryMib, 128);
  assert.deepEqual(await visit('shop').then(({ text }) => text), 'hello from /path');
  const shown = await it.deploys.get({ name: 'shop' });
  assert.equal(shown.state, DeploymentState.READY);
  assert.match(shown.url, /^http:\/\/shop\.localhost:\d+$/);
  await it.deploys.delete({ name: 'shop' });
  assert.equal(it.host.vms.size, 0);
  await assert.rejects(it.deploys.get({ name: 'shop' }), { reason: 'deployment_not_found' });
  await it.deploys.delete({ name: 'shop' });
});

test('an app that exits at once fails the deploy with its code and its log', async () => {
  it.host.onBoot = (vm) =>
    it.host.set(vm.id, {
      state: metal.VmState.FAILED,
      failure: {
        $typeName: 'ingot.metal.v1.VmFailure',
        reason: 'app_exited',
        message: 'the app exited with 3',
        exitCode: 3,
        log: ['no database'],
      },
    });
  const { event } = (await it.deploy('shop')).at(-1) ?? {};
  assert.equal(event?.case, 'failed');
  assert.ok(event?.case === 'failed');
  assert.equal(event.value.failure?.step, 'health');
  assert.equal(event.value.failure?.reason, 'app_exited');
  assert.equal(event.value.failure?.exitCode, 3);
  assert.deepEqual(event.value.failure?.log, ['no database']);
  await eventually(() => assert.equal(it.host.vms.size, 0));
  const { status, text } = await visit('shop');
  assert.equal(status, 502);
  assert.match(text, /app_exited/);
  assert.doesNotMatch(text, /no database/);
});
