import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync, statSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { billing, gateway } from '@ingot/contracts';
import type { IngotError } from '@ingot/daemon-kit';
import { eventually, Installation } from './test/installation.ts';

const { DeployService, KeyService, TenantService, UsageService } = gateway;
let it: Installation;
before(async () => {
  it = await Installation.start();
});
after(() => it.stop());

test('without a key that is in use nothing is answered', async () => {
  const other = it.adminKey.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A'));
  for (const key of ['', 'secret', other]) {
    for (const call of [
      it.client(DeployService, key).list({}),
      it.client(TenantService, key).listTenants({}),
      it.client(UsageService, key).getUsage({}),
    ]) {
      await assert.rejects(call, { reason: 'unauthenticated' });
    }
  }
});

test('a tenant sees nothing of another, whatever it asks', async () => {
  const [a, b] = await Promise.all([it.tenant('aa'), it.tenant('bb')]);
  const ofA = it.client(DeployService, a.key);
  const ofB = it.client(DeployService, b.key);
  await it.deploy('private', {}, ofA);
  const asIfUnknown = async (call: (name: string) => Promise<unknown>): Promise<void> => {
    const [hidden, unknown] = await Promise.all(
      ['private', 'unheard'].map((name) =>
        call(name).then(
          () => assert.fail('it was answered'),
          (error: unknown) => error as IngotError,
        ),
      ),
    );
    assert.equal(hidden?.reason, unknown?.reason);
    assert.equal(hidden?.message.replace('private', 'unheard'), unknown?.message);
    assert.equal(hidden?.remedy, unknown?.remedy);
  };
  const drain = async (stream: AsyncIterable<unknown>): Promise<void> => {
    for await (const _ of stream) assert.fail('something was told');
  };
  await asIfUnknown((name) => ofB.get({ name }));
  await asIfUnknown((name) => ofB.stop({ name }));
  await asIfUnknown((name) => ofB.delete({ name }));
  await asIfUnknown((name) => drain(ofB.start({ name })));
  await asIfUnknown((name) => drain(ofB.streamLogs({ name })));
  await asIfUnknown((name) => it.client(UsageService, b.key).getUsage({ name }));
  assert.deepEqual((await ofB.list({})).deployments, []);
  await assert.rejects(it.deploy('private', {}, ofB), (error: IngotError) => {
    assert.equal(error.reason, 'name_taken');
    assert.doesNotMatch(JSON.stringify(error), /aa/);
    return true;
  });
  assert.equal((await ofA.get({ name: 'private' })).revision, 1);
});

test('a tenant may have 32 log streams open; another tenant has its own', async () => {
  const [loud, quiet] = await Promise.all(
    ['loud', 'quiet'].map(async (name) => {
      const client = it.client(DeployService, (await it.tenant(name)).key);
      await it.deploy(name, {}, client);
      const read = async (): Promise<void> => {
        for await (const _ of client.streamLogs({ name })) continue;
      };
      const open = (signal: AbortSignal) =>
        client.streamLogs({ name, follow: true }, { signal })[Symbol.asyncIterator]();
      return { read, open };
    }),
  );
  const over = new AbortController();
  for (let count = 0; count < 32; count++) await loud?.open(over.signal).next();
  await assert.rejects(loud!.read(), { reason: 'rate_limited' });
  await quiet?.read();
  over.abort();
  await eventually(() => loud?.read());
});

test('tenants and their keys are the operator’s; a tenant has its own keys only', async () => {
  const { id, key } = await it.tenant('cc');
  const other = await it.tenant('dd');
  await assert.rejects(it.client(TenantService, key).createTenant({ name: 'ee' }), {
    reason: 'permission_denied',
  });
  const keys = it.client(KeyService, key);
  for (const tenantId of [other.id, 'nobody']) {
    await assert.rejects(keys.createKey({ tenantId, name: 'k' }), { reason: 'permission_denied' });
    await assert.rejects(keys.listKeys({ tenantId }), { reason: 'permission_denied' });
  }
  const [theirs] = (await it.client(KeyService, other.key).listKeys({})).keys;
  await assert.rejects(keys.revokeKey({ keyId: theirs?.id ?? '' }), { reason: 'key_not_found' });
  const made = await keys.createKey({ name: 'second' });
  assert.deepEqual([made.key?.tenantId, made.key?.admin], [id, false]);
  const listed = (await keys.listKeys({})).keys;
  assert.equal(listed.length, 2);
  assert.ok(listed.every(({ prefix }) => /^ingot_.{6}$/.test(prefix)));
  await keys.revokeKey({ keyId: made.key?.id ?? '' });
  await assert.rejects(it.client(DeployService, made.secret).list({}), {
    reason: 'unauthenticated',
  });
  await assert.rejects(it.client(TenantService).createTenant({ name: 'cc' }), {
    reason: 'already_exists',
  });
});

test('lists come in pages', async () => {
  const { key } = await it.tenant('pages');
  const client = it.client(DeployService, key);
  for (const name of ['c', 'a', 'b']) await it.deploy(`page-${name}`, {}, client);
  const first = await client.list({ pageSize: 2 });
  const second = await client.list({ pageSize: 2, pageToken: first.nextPageToken });
  const names = [...first.deployments, ...second.deployments].map(({ spec }) => spec?.name);
  assert.deepEqual(names, ['page-a', 'page-b', 'page-c']);
  assert.equal(second.nextPageToken, '');
  await assert.rejects(client.list({ pageToken: '!' }), { reason: 'invalid_argument' });
});

test('no secret is stored, and the admin key is for this user’s eyes', async () => {
  assert.equal(statSync(it.gatewayd.keyFile).mode & 0o777, 0o600);
  const secret = it.adminKey.slice(12, 38);
  for (const suffix of ['', '-wal']) {
    const file = `${it.dataDir}/gatewayd/gatewayd.db${suffix}`;
    assert.ok(!existsSync(file) || !readFileSync(file).includes(secret));
  }
});

test('the admin key survives a restart and is replaced when its file is deleted', async () => {
  const first = it.adminKey;
  await it.gatewayd.stop();
  await it.startGatewayd();
  assert.equal(it.adminKey, first);
  await it.gatewayd.stop();
  rmSync(it.gatewayd.keyFile);
  await it.startGatewayd();
  assert.notEqual(it.adminKey, first);
  await it.client(TenantService).listTenants({});
  await assert.rejects(it.client(TenantService, first).listTenants({}), {
    reason: 'unauthenticated',
  });
});

test('usage is told by name, of deployments that are gone too, this month by default', async () => {
  const { id, key } = await it.tenant('usage');
  const deploys = it.client(DeployService, key);
  await it.deploy('twice', {}, deploys);
  const first = (await deploys.get({ name: 'twice' })).id;
  await deploys.delete({ name: 'twice' });
  await it.deploy('twice', {}, deploys);
  const second = (await deploys.get({ name: 'twice' })).id;
  const costs: Record<string, bigint> = { [first]: 7n, [second]: 5n };
  const asked: billing.QueryUsageRequest[] = [];
  it.queryUsage = (request) => {
    asked.push(request);
    const ids = request.deploymentId ? [request.deploymentId] : Object.keys(costs);
    return create(billing.QueryUsageResponseSchema, {
      deployments: ids.map((deploymentId) => ({
        deploymentId,
        costNanos: costs[deploymentId] ?? 0n,
      })),
      totalCostNanos: ids.reduce((sum, each) => sum + (costs[each] ?? 0n), 0n),
    });
  };
  const usage = it.client(UsageService, key);
  for (const name of ['', 'twice']) {
    const answer = await usage.getUsage({ name });
    assert.deepEqual(
      answer.deployments.map((each) => each.name),
      ['twice', 'twice'],
    );
    assert.equal(answer.totalCostNanos, 12n);
  }
  assert.ok(asked.every(({ tenantId }) => tenantId === id));
  const from = new Date(Number(asked[0]?.fromUnixMs));
  assert.equal(from.toISOString().slice(7), '-01T00:00:00.000Z');
  await assert.rejects(usage.getUsage({ fromUnixMs: 5n, toUnixMs: 5n }), {
    reason: 'invalid_argument',
  });
  const forEver = await usage.getUsage({ fromUnixMs: 1n, toUnixMs: 2n ** 63n - 1n });
  assert.equal(forEver.toUnixMs, BigInt(Number.MAX_SAFE_INTEGER));
  await it.stopPeer('billaged');
  await assert.rejects(usage.getUsage({}), { reason: 'billing_unavailable' });
});

test('no image, a bad name, env or port is refused before anything happens', async () => {
  for (const more of [{ image: '' }, { env: ['NOVALUE'] }, { port: 70000 }]) {
    await assert.rejects(it.deploy('fine', more), { reason: 'invalid_argument' });
  }
  for (const name of ['Shop', '-a', 'a.b', 'a'.repeat(41)]) {
    await assert.rejects(it.deploy(name), { reason: 'invalid_argument' });
  }
});
