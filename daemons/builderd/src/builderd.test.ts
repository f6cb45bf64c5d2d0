import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { builder } from '@ingot/contracts';
import {
  buildImage,
  dir,
  file,
  hardLink,
  type ImageOptions,
  opaque,
  pushImage,
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
