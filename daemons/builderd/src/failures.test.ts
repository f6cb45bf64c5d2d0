import assert from 'node:assert/strict';
import { readdir, writeFile } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { builder } from '@ingot/contracts';
import { IngotError, isIngotError } from '@ingot/daemon-kit';
import {
  buildImage,
  buildIndex,
  file,
  freePort,
  hardLink,
  type Image,
  type ImageOptions,
  pushImage,
  pushIndex,
  symlink,
  type TarEntry,
} from '@ingot/testkit';
import { type Bench, startBench } from './test/bench.ts';

const config = { Cmd: ['/app'] };
const { RESOLVE, PULL, ROOTFS, REGISTER } = builder.BuildStep;
let bench: Bench;

before(async () => {
  bench = await startBench({
    settings: { maxUnpackedBytes: 2_000_000, maxEntries: 100, maxLayers: 4, registryAttempts: 2 },
  });
});
after(() => bench.stop());
afterEach(async () => {
  assert.deepEqual(await bench.leftovers(), [], 'a failed build leaves nothing behind');
  const layers = await readdir(join(bench.dataDir, 'builderd', 'layers'), {
    recursive: true,
  }).catch(() => []);
  assert.deepEqual(
    layers.filter((name) => name.includes('draft')),
    [],
  );
});

async function push(repository: string, image: Image): Promise<string> {
  await pushImage({ registry: bench.registry.url, repository, tag: '1' }, image);
  return `${bench.registry.host}/${repository}:1`;
}

async function pushOf(repository: string, options: Partial<ImageOptions>): Promise<string> {
  return push(repository, await buildImage({ config, layers: [[file('x')]], ...options }));
}

async function fails(
  image: string,
  expected: { reason: string; step: builder.BuildStep; message: RegExp },
): Promise<void> {
  const build = await bench.build(image);
  assert.equal(build.state, builder.BuildState.FAILED);
  const { failure } = build;
  assert.ok(failure);
  const why = `${failure.message}\n${bench.log.at(-1) ?? ''}`;
  assert.equal(failure.reason, expected.reason, why);
  assert.match(failure.message, expected.message);
  assert.equal(failure.step, expected.step);
  assert.notEqual(failure.remedy, '', 'every failure says what to do');
  assert.ok(build.finishedAt);
}

test('an unknown image', () =>
  fails(`${bench.registry.host}/nobody/knows:1`, {
    reason: 'image_not_found',
    step: RESOLVE,
    message: /has no nobody\/knows:1/,
  }));

test('an unknown digest', async () => {
  await pushOf('known', {});
  await fails(`${bench.registry.host}/known@sha256:${'0'.repeat(64)}`, {
    reason: 'image_not_found',
    step: RESOLVE,
    message: /known@sha256:000/,
  });
});

test('a registry that is down', async () => {
  await fails(`127.0.0.1:${await freePort()}/x:1`, {
    reason: 'registry_unreachable',
    step: RESOLVE,
    message: /nothing listens there/,
  });
});

test('text that is no image reference', async () => {
  const request = { tenantId: 'acme', image: 'Not An Image', idempotencyKey: 'k' };
  await assert.rejects(bench.client.buildFromImage(request), (error) => {
    assert.ok(isIngotError(error, 'invalid_argument'));
    return error.remedy.includes('repository');
  });
});

test('a layer whose bytes are not what its digest says', async () => {
  const image = await buildImage({ config, layers: [[file('x', 'damage me')]] });
  const name = await push('damaged', image);
  const [layer] = image.layers;
  assert.ok(layer);
  const damaged = Buffer.from(layer.bytes);
  damaged[damaged.length - 5] = (damaged[damaged.length - 5] ?? 0) ^ 1;
  await writeFile(bench.registry.blobPath(layer.digest), damaged);
  await fails(name, { reason: 'digest_mismatch', step: PULL, message: /came as other bytes/ });
});

test('a layer that is longer than its manifest says', async () => {
  const image = await buildImage({ config, layers: [[file('x', 'lengthen me')]] });
  const name = await push('longer', image);
  const [layer] = image.layers;
  assert.ok(layer);
  const longer = Buffer.concat([layer.bytes, Buffer.from('more')]);
  await writeFile(bench.registry.blobPath(layer.digest), longer);
  await fails(name, { reason: 'digest_mismatch', step: PULL, message: /other bytes/ });
});

test('a configuration that describes other layers', async () => {
  const image = await buildImage({ config, layers: [[file('x', 'one')]] });
  const other = await buildImage({ config, layers: [[file('x', 'two')]] });
  const document = JSON.parse(image.manifest.bytes.toString()) as { layers: unknown[] };
  const swapped = JSON.parse(other.manifest.bytes.toString()) as { layers: unknown[] };
  const bytes = Buffer.from(JSON.stringify({ ...document, layers: swapped.layers }));
  const { digestOf } = await import('@ingot/testkit');
  const manifest = { ...image.manifest, bytes, digest: digestOf(bytes) };
  await push('swapped', other);
  const name = await push('swapped', { ...image, manifest });
  await fails(name, { reason: 'digest_mismatch', step: ROOTFS, message: /unpacks to sha256/ });
});

test('an image for another CPU, alone or in an index', async () => {
  const platform = { os: 'linux', architecture: 's390x' };
  const image = await buildImage({ config, layers: [[file('x')]], platform });
  const expected = {
    reason: 'image_wrong_platform',
    step: RESOLVE,
    message: /is for linux\/s390x, but this host runs linux\//,
  };
  await fails(await push('foreign', image), expected);
  const target = { registry: bench.registry.url, repository: 'foreign', tag: 'index' };
  await pushIndex(target, buildIndex([image]));
  await fails(`${bench.registry.host}/foreign:index`, expected);
});

const hostile: [what: string, entries: TarEntry[], reason: string, message: RegExp][] = [
  [
    'climbs',
    [file('../../etc/passwd')],
    'layer_escapes_root',
    /layer 2 .*"\.\.\/\.\.\/etc\/passwd"/,
  ],
  ['climbs late', [file('a/../../x')], 'layer_escapes_root', /climbs out/],
  ['links out', [hardLink('x', '../../etc/shadow')], 'layer_escapes_root', /climbs out/],
  ['whites out ..', [file('a/.wh...')], 'layer_escapes_root', /climbs out/],
  ['links nowhere', [hardLink('x', 'nowhere')], 'image_malformed', /"nowhere", which is not there/],
  ['loops', [symlink('l', 'l'), file('l/x')], 'image_malformed', /too many symbolic links/],
  ['replaces the root', [file('./')], 'image_malformed', /root directory/],
  [
    'is sparse',
    [file('s', 'x', { tamper: (header) => void header.write('S', 156) })],
    'image_malformed',
    /sparse/,
  ],
];
for (const [what, entries, reason, message] of hostile) {
  test(`a layer that ${what}`, async () => {
    const layers = [[file('fine')], entries];
    await fails(await pushOf(`hostile-${what.replaceAll(/[ .]+/g, '-')}-x`, { layers }), {
      reason,
      step: ROOTFS,
      message,
    });
  });
}

test('layers that stay inside however they are written', async () => {
  const entries = [symlink('out', '../../../../etc'), file('/abs', 'a'), file('out/inside', 'b')];
  const build = await bench.build(await pushOf('inside', { layers: [entries] }));
  assert.equal(build.state, builder.BuildState.SUCCEEDED);
});

test('a layer that is no tar', async () => {
  const layers = [Buffer.from('no tar at all '.repeat(100))];
  await fails(await pushOf('garbage', { layers }), {
    reason: 'image_malformed',
    step: ROOTFS,
    message: /cannot be read/,
  });
});

test('a layer that unpacks to more than policy allows', async () => {
  const layers = [[file('bomb', Buffer.alloc(3_000_000))]];
  await fails(await pushOf('bomb', { layers }), {
    reason: 'image_too_large',
    step: ROOTFS,
    message: /more than 2000000 bytes/,
  });
});

test('too many layers, too many entries', async () => {
  const many = Array.from({ length: 5 }, () => [file('x')]);
  await fails(await pushOf('layers', { layers: many }), {
    reason: 'image_too_large',
    step: RESOLVE,
    message: /5 layers, more than 4/,
  });
  const entries = Array.from({ length: 101 }, (_, index) => file(`f${index}`));
  await fails(await pushOf('entries', { layers: [entries] }), {
    reason: 'image_too_large',
    step: ROOTFS,
    message: /more than 100 entries/,
  });
});

test('an image that names no program', async () => {
  await fails(await pushOf('idle', { config: {} }), {
    reason: 'image_no_command',
    step: RESOLVE,
    message: /no program/,
  });
});

test('assetmanagerd refusing, and staying away', async () => {
  bench.assets.failures.push(new IngotError('disk_full', 'the store is full', { remedy: 'r' }));
  await fails(await pushOf('refused', {}), {
    reason: 'disk_full',
    step: REGISTER,
    message: /store is full/,
  });
  const away = Array.from({ length: 100 }, () => new IngotError('unavailable', 'away'));
  bench.assets.failures.push(...away);
  await fails(await pushOf('away', { layers: [[file('y')]] }), {
    reason: 'unavailable',
    step: REGISTER,
    message: /assetmanagerd does not answer/,
  });
  bench.assets.failures.length = 0;
});

test('assetmanagerd away for a moment', async () => {
  bench.assets.failures.push(new IngotError('unavailable', 'away'));
  const build = await bench.build(await pushOf('moment', { layers: [[file('z')]] }));
  assert.equal(build.state, builder.BuildState.SUCCEEDED);
});

test('a registry that answers 500, redirects to the host or never ends', async () => {
  const answers: [RequestListener, string, RegExp][] = [
    [(_, response) => response.writeHead(500).end(), 'registry_unreachable', /answered 500/],
    [
      (_, response) => response.writeHead(302, { location: 'http://169.254.169.254/' }).end(),
      'registry_denied',
      /169\.254\.169\.254/,
    ],
    [
      (request, response) => response.writeHead(302, { location: request.url ?? '' }).end(),
      'registry_denied',
      /circles/,
    ],
    [(_, response) => response.end('x'.repeat(5_000_000)), 'image_too_large', /document/],
    [(_, response) => response.end('{}'), 'image_malformed', /schemaVersion/],
  ];
  for (const [listener, reason, message] of answers) {
    const server = createServer(listener);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    await fails(`127.0.0.1:${port}/x:1`, { reason, step: RESOLVE, message });
    server.closeAllConnections();
    server.close();
  }
});
