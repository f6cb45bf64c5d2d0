import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { buildImage, buildIndex, digestOf } from './image.ts';
import { pushImage, pushIndex } from './push.ts';
import { registryCredentials, startRegistry } from './registry.ts';
import { dir, file, hardLink, symlink, writeTar } from './tar.ts';
import { tempDir } from './temp-dir.ts';

const layers = [
  [dir('etc'), file('etc/motd', 'hi\n', { mode: 0o600, uid: 7 }), symlink('m', 'etc/motd')],
  [hardLink('again', 'etc/motd'), file(`${'long/'.repeat(60)}name`, 'x')],
];

test('the same options give the same image', async () => {
  const [one, two] = [await buildImage({ layers }), await buildImage({ layers })];
  assert.equal(one.manifest.digest, two.manifest.digest);
});

test('a tampered header keeps a right checksum', async () => {
  const tampered = file('a', 'body', { tamper: (header) => header.write('b', 0) });
  assert.deepEqual(await writeTar([tampered]), await writeTar([file('b', 'body')]));
});

test('an image pushed to a real registry can be fetched from it, also after a restart', async () => {
  await using temp = await tempDir();
  const image = await buildImage({ layers, config: { Cmd: ['/bin/x'] } });
  const first = await startRegistry({ dir: temp.path });
  const target = { registry: first.url, repository: 'team/app', tag: '1' };
  assert.equal(await pushImage(target, image), image.manifest.digest);
  const many = buildIndex([
    image,
    await buildImage({ layers, compression: 'zstd', format: 'docker' }),
  ]);
  await pushIndex({ ...target, tag: 'all' }, many);
  await first.stop();

  const again = await startRegistry({ dir: temp.path });
  try {
    const base = `${again.url}/v2/team/app`;
    const accept = { headers: { accept: image.manifest.mediaType } };
    const manifest = await fetch(`${base}/manifests/1`, accept);
    assert.equal(digestOf(new Uint8Array(await manifest.arrayBuffer())), image.manifest.digest);
    const layer = image.layers[0];
    assert.ok(layer);
    const bytes = await (await fetch(`${base}/blobs/${layer.digest}`)).arrayBuffer();
    assert.deepEqual(gunzipSync(bytes), await writeTar(layers[0] ?? []));
    assert.deepEqual(await readFile(again.blobPath(layer.digest)), layer.bytes);
  } finally {
    await again.stop();
  }
});

test('a registry with an account refuses whoever lacks it', async () => {
  await using temp = await tempDir();
  const registry = await startRegistry({ dir: temp.path, auth: true });
  try {
    const image = await buildImage({ layers });
    const target = { registry: registry.url, repository: 'app', tag: '1' };
    await assert.rejects(pushImage(target, image), /401/);
    const { username, password } = registryCredentials;
    const authorization = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
    await pushImage({ ...target, authorization }, image);
  } finally {
    await registry.stop();
  }
});
