import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { builder } from '@ingot/contracts';
import { isIngotError } from '@ingot/daemon-kit';
import {
  buildImage,
  buildIndex,
  dir,
  file,
  hardLink,
  type ImageOptions,
  opaque,
  pushImage,
  pushIndex,
  symlink,
  whiteout,
} from '@ingot/testkit';
import { type Bench, startBench } from './test/bench.ts';

let bench: Bench;
before(async () => {
  bench = await startBench();
});
after(() => bench.stop());

const config = { Entrypoint: ['/app'] };

async function push(repository: string, options: ImageOptions): Promise<string> {
  const image = await buildImage({ config, ...options });
  await pushImage({ registry: bench.registry.url, repository, tag: '1' }, image);
  return `${bench.registry.host}/${repository}:1`;
}

/** The listing of a built root file system: "mode owner path[ -> target]" by path. */
async function listing(build: builder.Build): Promise<string[]> {
  const stored = bench.assets.assets.get(build.rootfsAssetId);
  assert.ok(stored, build.failure?.message ?? 'no asset');
  const path = join(bench.dataDir, 'listed.squashfs');
  await writeFile(path, stored.bytes);
  const text = execFileSync('unsquashfs', ['-lln', path], { encoding: 'utf8' });
  return text
    .split('\n')
    .filter((line) => line.includes('squashfs-root'))
    .map((line) => line.replace(/\s+\d+ \d{4}-\d\d-\d\d \d\d:\d\d squashfs-root/, ' '));
}

test('an image becomes a root file system with its configuration', async () => {
  const image = await push('hello', {
    layers: [
      [
        dir('bin'),
        file('bin/app', 'one', { mode: 0o4755, uid: 5, gid: 6 }),
        symlink('app', 'bin/app'),
      ],
      [file('etc/motd', 'hi'), hardLink('bin/again', 'bin/app')],
    ],
    config: {
      Entrypoint: ['/app'],
      Cmd: ['--serve'],
      Env: ['PATH=/bin', 'COLOR=blue'],
      WorkingDir: '/srv',
      User: 'nobody',
      ExposedPorts: { '9000/udp': {}, '8443/tcp': {}, '80': {} },
    },
  });
  const build = await bench.build(image);
  assert.equal(build.failure, undefined);
  assert.equal(build.state, builder.BuildState.SUCCEEDED);
  assert.match(build.resolvedImage, /^127\.0\.0\.1:\d+\/hello@sha256:[0-9a-f]{64}$/);
  const { $typeName: _, ...run } = build.config ?? assert.fail('no config');
  assert.deepEqual(run, {
    entrypoint: ['/app'],
    cmd: ['--serve'],
    env: ['PATH=/bin', 'COLOR=blue'],
    workingDir: '/srv',
    user: 'nobody',
    exposedPorts: [80, 8443],
  });
  assert.deepEqual(await listing(build), [
    'drwxr-xr-x 0/0 ',
    'lrwxrwxrwx 0/0 /app -> bin/app',
    'drwxr-xr-x 0/0 /bin',
    '-rwsr-xr-x 5/6 /bin/again',
    '-rwsr-xr-x 5/6 /bin/app',
    'drwxr-xr-x 0/0 /dev',
    'drwxr-xr-x 0/0 /etc',
    '-rw-r--r-- 0/0 /etc/motd',
    'dr-xr-xr-x 0/0 /proc',
    'drwxr-xr-x 0/0 /run',
    'dr-xr-xr-x 0/0 /sys',
    'drwxrwxrwt 0/0 /tmp',
  ]);
  assert.deepEqual(await bench.leftovers(), []);
});
void opaque;
void whiteout;

test('whiteouts, opaque directories and hard links across layers', async () => {
  const layers = [
    [
      ...[dir('a'), file('a/gone', 'x'), file('a/kept', 'k'), dir('b'), file('b/old', 'o')],
      ...[file('linked', 'content'), dir('was-dir'), file('was-dir/x'), file('was-file')],
      symlink('lib', 'usr/lib'),
    ],
    [
      // The marker comes after what the layer itself adds, and must not hide it.
      ...[file('b/new', 'n'), opaque('b'), whiteout('a/gone')],
      ...[hardLink('second', 'linked'), whiteout('linked'), hardLink('third', 'second')],
      ...[file('was-dir', 'now a file'), dir('was-file'), file('was-file/y', 'y')],
      ...[file('twice', 'first'), file('twice', 'last'), file('lib/through', 'symlinked parent')],
    ],
  ];
  const build = await bench.build(await push('merge', { layers }));
  const names = (await listing(build)).map((line) => line.split(' ').slice(2).join(' '));
  const standard = ['/dev', '/etc', '/proc', '/run', '/sys', '/tmp'];
  assert.deepEqual(
    names.filter((name) => name !== '' && !standard.includes(name)),
    [
      ...['/a', '/a/kept', '/b', '/b/new', '/lib -> usr/lib', '/second', '/third', '/twice'],
      ...['/usr', '/usr/lib', '/usr/lib/through', '/was-dir', '/was-file', '/was-file/y'],
    ],
  );
  const root = await extractRootfs(build);
  assert.equal(await readFile(join(root, 'twice'), 'utf8'), 'last');
  assert.equal(await readFile(join(root, 'third'), 'utf8'), 'content');
  assert.equal(await readFile(join(root, 'usr/lib/through'), 'utf8'), 'symlinked parent');
});

test('capabilities are kept to the byte, also those that are not UTF-8', async () => {
  // CAP_SETUID and CAP_NET_RAW, permitted and effective (linux/capability.h, VFS_CAP_REVISION_2).
  const capability = Buffer.from('0100000280200000000000000000000000000000', 'hex');
  const record = (value: Buffer): Buffer => {
    const rest = Buffer.concat([
      Buffer.from(' SCHILY.xattr.security.capability='),
      value,
      Buffer.from('\n'),
    ]);
    return Buffer.concat([Buffer.from(`${rest.length + 2}`), rest]);
  };
  const body = record(capability);
  const pax = file('PaxHeader', body, {
    tamper: (header) => void header.write('x', 156),
  });
  const image = await push('capable', { layers: [[dir('before'), pax, file('ping', 'x')]] });
  const build = await bench.build(image);
  const path = join(bench.dataDir, 'capable.squashfs');
  await writeFile(path, bench.assets.assets.get(build.rootfsAssetId)?.bytes ?? '');
  const shown = execFileSync('rdsquashfs', ['--xattr', '/ping', path], { encoding: 'utf8' });
  assert.match(shown, /security\.capability=0x0100000280200000/i);
});

test('the same layers give the same bytes, whatever their compression', async () => {
  const layers = [[dir('d'), file('d/a', 'a'.repeat(200_000)), hardLink('z', 'd/a')]];
  const digests = new Set<string>();
  for (const compression of ['gzip', 'zstd', 'none'] as const) {
    const format = compression === 'gzip' ? 'docker' : 'oci';
    const build = await bench.build(await push('same', { layers, compression, format }));
    assert.equal(build.cached, false);
    digests.add(bench.assets.assets.get(build.rootfsAssetId)?.asset.sha256 ?? 'none');
  }
  assert.equal(digests.size, 1);
});

test('an index gives the image for this CPU', async () => {
  const layers = [[file('mine')]];
  const other = await buildImage({
    layers: [[file('other')]],
    config,
    platform: { os: 'linux', architecture: 's390x' },
  });
  const index = buildIndex([other, await buildImage({ layers, config })]);
  const target = { registry: bench.registry.url, repository: 'many', tag: '1' };
  const digest = await pushIndex(target, index);
  const build = await bench.build(`${bench.registry.host}/many@${digest}`);
  assert.equal(build.resolvedImage, `${bench.registry.host}/many@${digest}`);
  assert.ok((await listing(build)).some((line) => line.endsWith(' /mine')));
});

test('a second build reuses the first, unless its asset is gone or the tenant another', async () => {
  const image = await push('reuse', { layers: [[file('x')]] });
  const first = await bench.build(image);
  const second = await bench.build(image);
  assert.equal(second.cached, true);
  assert.equal(second.rootfsAssetId, first.rootfsAssetId);
  assert.deepEqual(second.config, first.config);
  const foreign = await bench.build(image, { tenantId: 'rival' });
  assert.equal(foreign.cached, false);
  assert.notEqual(foreign.rootfsAssetId, first.rootfsAssetId);
  bench.assets.assets.delete(first.rootfsAssetId);
  const rebuilt = await bench.build(image);
  assert.equal(rebuilt.state, builder.BuildState.SUCCEEDED);
  assert.equal(rebuilt.cached, false);
});

test('the same key is the same build; for another image it is refused', async () => {
  const image = await push('keyed', { layers: [[file('x')]] });
  const request = { tenantId: 'acme', image, idempotencyKey: 'once' };
  const [one, two] = await Promise.all([
    bench.client.buildFromImage(request),
    bench.client.buildFromImage(request),
  ]);
  assert.equal(one.id, two.id);
  const other = { ...request, image: `${image}0` };
  await assert.rejects(bench.client.buildFromImage(other), (e) =>
    isIngotError(e, 'already_exists'),
  );
  await bench.waitFor(one.id);
  const { builds, nextPageToken } = await bench.client.listBuilds({
    tenantId: 'acme',
    pageSize: 1,
  });
  assert.equal(builds[0]?.id, one.id);
  const rest = await bench.client.listBuilds({ tenantId: 'acme', pageToken: nextPageToken });
  assert.ok(rest.builds.length > 1 && rest.builds.every(({ id }) => id !== one.id));
  const labels = bench.assets.assets.get((await bench.waitFor(one.id)).rootfsAssetId)?.asset.labels;
  assert.equal(labels?.['tenant_id'], 'acme');
  assert.equal(labels?.['build_id'], one.id);
});

async function extractRootfs(build: builder.Build): Promise<string> {
  const path = join(bench.dataDir, 'extracted.squashfs');
  const target = join(bench.dataDir, 'extracted');
  await rm(target, { recursive: true, force: true });
  await writeFile(path, bench.assets.assets.get(build.rootfsAssetId)?.bytes ?? '');
  execFileSync('unsquashfs', ['-q', '-n', '-d', target, path]);
  return target;
}
