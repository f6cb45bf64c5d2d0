import assert from 'node:assert/strict';
import { createHash, randomUUID } from 'node:crypto';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { tempDir } from '@ingot/testkit';
import type { AssetStore } from './asset-store.ts';

/** The chunks as a stream; fails with the error after them when one is given. */
export async function* streamOf(
  chunks: readonly (string | Uint8Array)[],
  error?: Error,
): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) yield Buffer.from(chunk);
  if (error) throw error;
}

/**
 * What every asset store must do.
 *
 * @param open - an empty store that may keep its files in the folder.
 */
export function testAssetStore(name: string, open: (folder: string) => Promise<AssetStore>): void {
  const check = (
    title: string,
    body: (store: AssetStore, folder: string) => Promise<void>,
  ): void => {
    test(`${name}: ${title}`, async () => {
      const temp = await tempDir();
      try {
        await body(await open(join(temp.path, 'store')), temp.path);
      } finally {
        await temp.remove();
      }
    });
  };

  check('computes size and SHA-256 of what it stores', async (store) => {
    const big = Buffer.alloc(3_000_001, 'x');
    const stored = await store.write(randomUUID(), streamOf(['begin', big, '', 'end']));
    const bytes = Buffer.concat([Buffer.from('begin'), big, Buffer.from('end')]);
    assert.equal(stored.sizeBytes, bytes.length);
    assert.equal(stored.sha256, createHash('sha256').update(bytes).digest('hex'));
  });

  check('places the bytes read-only, any number of times', async (store, folder) => {
    const id = randomUUID();
    await store.write(id, streamOf(['bytes']));
    for (const file of ['one', 'two']) {
      const path = join(folder, file);
      await store.place(id, path);
      assert.equal(await readFile(path, 'utf8'), 'bytes');
      assert.equal((await stat(path)).mode & 0o777, 0o444);
    }
  });

  check('never places over a file', async (store, folder) => {
    const id = randomUUID();
    await store.write(id, streamOf(['bytes']));
    await writeFile(join(folder, 'taken'), 'kept');
    await assert.rejects(store.place(id, join(folder, 'taken')), { code: 'EEXIST' });
    assert.equal(await readFile(join(folder, 'taken'), 'utf8'), 'kept');
  });

  check('names the asset whose bytes are not there', async (store, folder) => {
    const id = randomUUID();
    await assert.rejects(store.place(id, join(folder, 'x')), {
      reason: 'asset_missing',
      facts: { assetId: id },
    });
  });

  check('leaves nothing of a write that fails in the middle', async (store) => {
    const cause = new Error('the source broke');
    await assert.rejects(store.write(randomUUID(), streamOf(['a', 'b'], cause)), cause);
    assert.deepEqual(await store.list(), []);
  });

  check('lists what it has, and removes it, more than once', async (store) => {
    const [first, second] = [randomUUID(), randomUUID()];
    await store.write(first, streamOf(['1']));
    await store.write(second, streamOf(['22']));
    await store.remove(first);
    await store.remove(first);
    assert.deepEqual(await store.list(), [{ id: second, sizeBytes: 2, isWhole: true }]);
  });

  check('what was placed stays when the asset is removed', async (store, folder) => {
    const id = randomUUID();
    await store.write(id, streamOf(['bytes']));
    await store.place(id, join(folder, 'placed'));
    await store.remove(id);
    assert.equal(await readFile(join(folder, 'placed'), 'utf8'), 'bytes');
  });

  check('says how much room there is', async (store) => {
    assert.ok((await store.probe()).freeBytes > 0);
    assert.deepEqual(await store.list(), []);
  });
}
