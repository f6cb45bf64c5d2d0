import assert from 'node:assert/strict';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, test } from 'node:test';
import { isIngotError, systemClock } from '@ingot/daemon-kit';
import { digestOf, registryCredentials, startRegistry, tempDir } from '@ingot/testkit';
import { buildImage, file, pushImage } from '@ingot/testkit';
import { parseImageReference } from '../../domain/image-reference.ts';
import { checkAddress, guardedLookup, isLoopbackHost } from './address-guard.ts';
import { RegistryImageSource } from './registry-image-source.ts';

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function source(accounts: Record<string, { username: string; password: string }> = {}) {
  return new RegistryImageSource({
    accounts,
    timeouts: { connectMs: 1_000, idleMs: 300 },
    attempts: 3,
    clock: systemClock,
    random: () => 0,
  });
}

function open(host: string, images = source()) {
  return images.open(parseImageReference(`${host}/app:1`), new AbortController().signal);
}

const manifest = Buffer.from(
  JSON.stringify({ schemaVersion: 2, mediaType: 'application/vnd.oci.image.manifest.v1+json' }),
);

test('an account of the settings opens a registry with basic authentication', async () => {
  await using temp = await tempDir();
  const registry = await startRegistry({ dir: temp.path, auth: true });
  try {
    const { username, password } = registryCredentials;
    const authorization = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
    const image = await buildImage({ layers: [[file('x')]] });
    const target = { registry: registry.url, repository: 'app', tag: '1', authorization };
    const digest = await pushImage(target, image);
    const allowed = open(registry.host, source({ [registry.host]: registryCredentials }));
    assert.equal((await allowed.fetchManifest('1')).digest, digest);
    for (const accounts of [{}, { [registry.host]: { username, password: 'wrong' } }]) {
      await assert.rejects(open(registry.host, source(accounts)).fetchManifest('1'), (error) => {
        assert.ok(isIngotError(error, 'registry_denied'));
        assert.ok(!JSON.stringify(error).includes('wrong'), 'no secret in an error');
        return error.remedy.includes('registries');
      });
    }
  } finally {
    await registry.stop();
  }
});

test('a bearer challenge is answered with a token for this repository', async () => {
  const asked: string[] = [];
  const host = await serve((request, response) => {
    const url = new URL(request.url ?? '', 'http://x');
    if (url.pathname === '/token') {
      asked.push(`${url.searchParams.get('service')} ${url.searchParams.get('scope')}`);
      assert.match(request.headers.authorization ?? '', /^Basic /);
      return response.end(JSON.stringify({ token: 'abc' }));
    }
    if (request.headers.authorization === 'Bearer abc') return response.end(manifest);
    const challenge = `Bearer realm="http://${host}/token",service="svc",scope="x"`;
    return response.writeHead(401, { 'www-authenticate': challenge }).end();
  });
  const images = source({ [host]: { username: 'u', password: 'p' } });
  const found = await open(host, images).fetchManifest('1');
  assert.equal(found.digest, digestOf(manifest));
  assert.deepEqual(asked, ['svc repository:app:pull']);
});

test('a redirect to another host does not carry the account along', async () => {
  const seen: (string | undefined)[] = [];
  const other = await serve((request, response) => {
    seen.push(request.headers.authorization);
    response.end(manifest);
  });
  const host = await serve((request, response) => {
    if (request.headers.authorization === undefined) {
      return response.writeHead(401, { 'www-authenticate': 'Basic realm="r"' }).end();
    }
    return response.writeHead(307, { location: `http://${other}/elsewhere` }).end();
  });
  const images = source({ [host]: { username: 'u', password: 'p' } });
  await open(host, images).fetchManifest('1');
  assert.deepEqual(seen, [undefined]);
});

test('a transfer that breaks off or stalls is tried again from the start', async () => {
  const blob = Buffer.from('0123456789');
  let requests = 0;
  const host = await serve((_, response) => {
    requests++;
    response.writeHead(200, { 'content-length': blob.length });
    if (requests === 3) response.end(blob);
    else response.write(blob.subarray(0, 4));
    // The first transfer is cut, the second falls silent.
    if (requests === 1) setTimeout(() => response.destroy(), 20);
  });
  const descriptor = { mediaType: 'x', digest: digestOf(blob), size: blob.length };
  const attempts: string[] = [];
  await open(host).fetchBlob(descriptor, async (bytes) => {
    attempts.push('');
    for await (const chunk of bytes)
      attempts.push((attempts.pop() ?? '') + Buffer.from(chunk).toString());
  });
  assert.equal(attempts.at(-1), '0123456789');
  assert.equal(requests, 3);
});

test('a manifest that is not what its digest says is refused', async () => {
  const host = await serve((_, response) => response.end(manifest));
  const wrong = `sha256:${'1'.repeat(64)}`;
  await assert.rejects(open(host).fetchManifest(wrong), (error) =>
    isIngotError(error, 'digest_mismatch'),
  );
});

test('addresses that lead back to the host or its metadata are refused', async () => {
  for (const host of ['localhost', '127.8.9.1', '[::1]', 'a.localhost'])
    assert.ok(isLoopbackHost(host));
  for (const host of ['example.com', '10.0.0.1', 'localhost.example.com']) {
    assert.ok(!isLoopbackHost(host));
  }
  for (const address of ['169.254.169.254', '0.0.0.0', 'fe80::1', '::ffff:169.254.169.254', '::']) {
    assert.throws(() => checkAddress(address, true), /does not fetch/, address);
  }
  for (const address of ['127.0.0.1', '::1', '::ffff:127.0.0.1']) {
    assert.throws(() => checkAddress(address, false), /does not fetch/, address);
    checkAddress(address, true);
  }
  checkAddress('10.1.2.3', false);
  const refused = await new Promise<Error | null>((resolve) => {
    guardedLookup(false)('localhost', {}, (error) => resolve(error));
  });
  assert.ok(isIngotError(refused, 'registry_denied'));
});
