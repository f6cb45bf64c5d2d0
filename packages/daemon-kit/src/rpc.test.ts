import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { create } from '@bufbuild/protobuf';
import { asset } from '@ingot/contracts';
import { IngotError } from './errors.ts';
import { createLogger } from './logger.ts';
import { createMetrics } from './metrics.ts';
import { type Identity, loadIdentity } from './identity.ts';
import { ensurePki } from './pki.ts';
import { createRpcClient } from './rpc-client.ts';
import { callerOf, type RpcServer, startRpcServer } from './rpc-server.ts';

const id = '6f1f9f5e-3f0d-4d54-9f2e-0d2b7f1c2a11';
let dir: string;
let server: RpcServer;
const started = Promise.withResolvers<void>();
const logger = createLogger({ name: 'test', level: 'silent' });

before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'ingot-rpc-'));
  await ensurePki(dir, ['assetmanagerd', 'metald', 'builderd']);
  server = await startRpcServer({
    listen: '127.0.0.1:0',
    identity: await loadIdentity(dir, 'assetmanagerd'),
    allow: { [asset.AssetManagerService.typeName]: ['metald'] },
    readiness: () => ({ ready: true, reasons: [] }),
    metrics: createMetrics('test'),
    logger,
    routes: (router) => {
      router.service(asset.AssetManagerService, {
        getAsset: ({ assetId }, context) => {
          if (assetId === id) {
            return create(asset.AssetSchema, { id, name: callerOf(context) });
          }
          throw new IngotError('asset_missing', 'there is no such asset', {
            remedy: 'list the assets',
            log: ['one', 'two'],
            facts: { asset_id: assetId },
          });
        },
        releaseAsset: () => {
          started.resolve();
          return new Promise(() => undefined);
        },
        listAssets: () => {
          throw new Error('the password is hunter2');
        },
      });
    },
  });
});

after(async () => {
  await server.close();
  await rm(dir, { recursive: true });
});

async function clientOf(identity: Identity | string, expect = 'assetmanagerd') {
  return createRpcClient(asset.AssetManagerService, {
    url: server.url,
    identity: typeof identity === 'string' ? await loadIdentity(dir, identity) : identity,
    expect,
  });
}

test('a caller is known by its certificate', async () => {
  const answer = await (await clientOf('metald')).getAsset({ assetId: id });
  assert.equal(answer.name, 'metald');
});

test('an error keeps its reason, remedy, log and facts over the wire', async () => {
  const other = '00000000-0000-4000-8000-000000000000';
  await assert.rejects((await clientOf('metald')).getAsset({ assetId: other }), (error) => {
    assert.ok(error instanceof IngotError);
    assert.equal(error.reason, 'asset_missing');
    assert.equal(error.message, 'there is no such asset');
    assert.equal(error.remedy, 'list the assets');
    assert.deepEqual(error.log, ['one', 'two']);
    assert.deepEqual(error.facts, { asset_id: other });
    return true;
  });
});

test('the message of a bug stays inside the daemon', async () => {
  await assert.rejects((await clientOf('metald')).listAssets({}), (error) => {
    assert.ok(error instanceof IngotError);
    assert.equal(error.reason, 'internal');
    assert.doesNotMatch(error.message, /hunter2/);
    return true;
  });
});

test('a request against the rules of the proto is refused before the handler', async () => {
  await assert.rejects((await clientOf('metald')).getAsset({ assetId: 'not a uuid' }), {
    reason: 'invalid_argument',
  });
});

test('a message is bounded before its sender is known, as unpacked', async () => {
  const body = gzipSync(Buffer.alloc(5 * 1024 * 1024, ' '));
  const call = request(`${server.url}/${asset.AssetManagerService.typeName}/GetAsset`, {
    ...{ method: 'POST', rejectUnauthorized: false, agent: false },
    headers: { 'content-type': 'application/json', 'content-encoding': 'gzip' },
  }).end(body);
  const [response] = (await once(call, 'response')) as [IncomingMessage];
  assert.equal(response.statusCode, 429);
  assert.match(await text(response), /"resource_exhausted".*larger/);
});

test('a Host header that is none is refused and ends nothing', async () => {
  for (const host of ['a b', '[', 'x:y:z']) {
    const call = request(`${server.url}/${asset.AssetManagerService.typeName}/GetAsset`, {
      ...{ method: 'POST', rejectUnauthorized: false, agent: false },
      headers: { host, 'content-type': 'application/json' },
    }).end('{}');
    const [response] = (await once(call, 'response')) as [IncomingMessage];
    assert.equal(response.statusCode, 400);
  }
});

test('a daemon that may not call the service is refused', async () => {
  await assert.rejects((await clientOf('builderd')).getAsset({ assetId: id }), {
    reason: 'permission_denied',
  });
});

test('a certificate of another authority is refused', async () => {
  const foreign = await mkdtemp(join(tmpdir(), 'ingot-foreign-'));
  await ensurePki(foreign, ['metald']);
  const stranger = await loadIdentity(foreign, 'metald');
  await rm(foreign, { recursive: true });
  const trusted = await loadIdentity(dir, 'metald');
  const client = await clientOf({ ...stranger, authority: trusted.authority });
  await assert.rejects(client.getAsset({ assetId: id }), { reason: 'unauthenticated' });
});

test('a caller without a certificate is refused', async () => {
  const trusted = await loadIdentity(dir, 'metald');
  const client = await clientOf({ ...trusted, certificate: '', privateKey: '' });
  await assert.rejects(client.getAsset({ assetId: id }), { reason: 'unauthenticated' });
});

test('a server with the identity of another daemon is refused', async () => {
  await assert.rejects((await clientOf('metald', 'billaged')).getAsset({ assetId: id }), {
    reason: 'unauthenticated',
  });
});

test('certificates are kept when they are good and made anew when they run out', async () => {
  const own = join(dir, 'renewal');
  await ensurePki(own, ['metald']);
  const first = await loadIdentity(own, 'metald');
  await ensurePki(own, ['metald']);
  assert.deepEqual(await loadIdentity(own, 'metald'), first);
  const inElevenMonths = Date.now() + 340 * 24 * 60 * 60 * 1000;
  await ensurePki(own, ['metald'], inElevenMonths);
  const renewed = await loadIdentity(own, 'metald');
  assert.notEqual(renewed.certificate, first.certificate);
  assert.equal(renewed.authority, first.authority);
});

test('a server that is away or goes away in the middle of a call is unavailable', async () => {
  const client = await clientOf('metald');
  const cut = assert.rejects(client.releaseAsset({ holder: 'slow' }), { reason: 'unavailable' });
  await started.promise;
  await server.close(0);
  await cut;
  await assert.rejects(client.getAsset({ assetId: id }), { reason: 'unavailable' });
});
