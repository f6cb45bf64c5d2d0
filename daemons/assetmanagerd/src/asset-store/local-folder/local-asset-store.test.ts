import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { tempDir } from '@ingot/testkit';
import { streamOf, testAssetStore } from '../conformance.ts';
import { LocalAssetStore } from './local-asset-store.ts';

testAssetStore('local folder', (folder) => LocalAssetStore.open(folder));

/** Runs the body with a file system of 1 MiB mounted; skips where one cannot be mounted. */
function testOnSmallDisk(
  title: string,
  body: (disk: string, other: string) => Promise<void>,
): void {
  test(title, async (context) => {
    await using temp = await tempDir();
    const disk = join(temp.path, 'disk');
    await mkdir(disk);
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', disk], { stdio: 'ignore' });
    } catch {
      context.skip('needs root to mount a file system');
      return;
    }
    try {
      await body(disk, temp.path);
    } finally {
      execFileSync('umount', [disk]);
    }
  });
}

test('an asset is a read-only file under the first two characters of its id', async () => {
  await using temp = await tempDir();
  const store = await LocalAssetStore.open(join(temp.path, 'assets'));
  const id = randomUUID();
  await store.write(id, streamOf(['bytes']));
  const path = join(temp.path, 'assets', id.slice(0, 2), id);
  assert.equal((await stat(path)).mode & 0o777, 0o444);
  await store.place(id, join(temp.path, 'placed'));
  assert.equal((await stat(join(temp.path, 'placed'))).ino, (await stat(path)).ino);
});

test('what a write cut short left is listed as not whole, and can be removed', async () => {
  await using temp = await tempDir();
  const store = await LocalAssetStore.open(temp.path);
  const id = randomUUID();
  await mkdir(join(temp.path, id.slice(0, 2)));
  await writeFile(join(temp.path, id.slice(0, 2), `${id}.draft`), 'hal');
  assert.deepEqual(await store.list(), [{ id, sizeBytes: 3, isWhole: false }]);
  await store.remove(id);
  assert.deepEqual(await store.list(), []);
});

testOnSmallDisk('a full disk is disk_full with a remedy and leaves nothing', async (disk) => {
  const store = await LocalAssetStore.open(join(disk, 'assets'));
  const tooBig = streamOf([Buffer.alloc(700_000), Buffer.alloc(700_000)]);
  await assert.rejects(store.write(randomUUID(), tooBig), {
    reason: 'disk_full',
    remedy: /free space/,
  });
  assert.deepEqual(await store.list(), []);
  await store.write(randomUUID(), streamOf([Buffer.alloc(700_000)]));
});

testOnSmallDisk('across file systems the bytes are copied', async (disk, other) => {
  const store = await LocalAssetStore.open(join(other, 'assets'));
  const id = randomUUID();
  await store.write(id, streamOf(['bytes']));
  await store.place(id, join(disk, 'placed'));
  assert.equal(await readFile(join(disk, 'placed'), 'utf8'), 'bytes');
  assert.equal((await stat(join(disk, 'placed'))).mode & 0o777, 0o444);
  const big = randomUUID();
  await store.write(big, streamOf([Buffer.alloc(2_000_000)]));
  await assert.rejects(store.place(big, join(disk, 'big')), { reason: 'disk_full' });
  await assert.rejects(stat(join(disk, 'big')), { code: 'ENOENT' });
});
