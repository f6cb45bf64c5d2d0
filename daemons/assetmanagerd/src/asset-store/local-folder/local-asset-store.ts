import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import {
  chmod,
  copyFile,
  type FileHandle,
  link,
  mkdir,
  open,
  readdir,
  rename,
  rm,
  stat,
  statfs,
} from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '@ingot/daemon-kit';
import { explainDiskFull } from '../../domain/disk-full.ts';
import { missingAssets } from '../../domain/missing-assets.ts';
import type { AssetStore, StoredBytes, StoreEntry } from '../asset-store.ts';

const draftSuffix = '.draft';
const entryName = /^([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(\.draft)?$/;

/** Assets as files `{first two characters of the id}/{id}` of one folder, owned by us, mode 0444. */
export class LocalAssetStore implements AssetStore {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** Opens (and makes) the folder; only this user may look inside. */
  static async open(folder: string): Promise<LocalAssetStore> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    return new LocalAssetStore(folder);
  }

  async write(id: string, bytes: AsyncIterable<Uint8Array>): Promise<StoredBytes> {
    const shard = join(this.#folder, id.slice(0, 2));
    const draft = join(shard, id + draftSuffix);
    try {
      if (await mkdir(shard, { recursive: true, mode: 0o700 })) await syncFolder(this.#folder);
      const { O_CREAT, O_EXCL, O_WRONLY, O_NOFOLLOW } = constants;
      const handle = await open(draft, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW, 0o444);
      let stored: StoredBytes;
      try {
        stored = await copy(bytes, handle);
        await handle.chmod(0o444);
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(draft, this.#path(id));
      await syncFolder(shard);
      return stored;
    } catch (error) {
      await this.remove(id);
      throw explainDiskFull(error);
    }
  }

  async place(id: string, path: string): Promise<void> {
    const source = this.#path(id);
    try {
      await link(source, path);
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === 'ENOENT' && (await isAbsent(source))) throw missingAssets([id]);
      // Another file system, or more links than this one counts (65,000 on ext4).
      if (errno !== 'EXDEV' && errno !== 'EMLINK') throw explainDiskFull(error);
      await copyReadOnly(source, path);
    }
  }

  async remove(id: string): Promise<void> {
    await rm(this.#path(id) + draftSuffix, { force: true });
    await rm(this.#path(id), { force: true });
  }

  async list(): Promise<StoreEntry[]> {
    const entries: StoreEntry[] = [];
    for (const shard of await readdir(this.#folder, { withFileTypes: true })) {
      if (!shard.isDirectory()) continue;
      for (const name of await readdir(join(this.#folder, shard.name))) {
        const [, id, draft] = entryName.exec(name) ?? [];
        if (id === undefined) continue;
        const found = await stat(join(this.#folder, shard.name, name)).catch(absent);
        if (found) entries.push({ id, sizeBytes: found.size, isWhole: draft === undefined });
      }
    }
    return entries;
  }

  async probe(): Promise<{ freeBytes: number }> {
    const path = join(this.#folder, '.probe');
    const handle = await open(path, 'w', 0o600);
    try {
      await handle.write('probe');
    } finally {
      await handle.close();
      await rm(path, { force: true });
    }
    const { bavail, bsize } = await statfs(this.#folder);
    return { freeBytes: bavail * bsize };
  }

  #path(id: string): string {
    return join(this.#folder, id.slice(0, 2), id);
  }
}

async function copy(bytes: AsyncIterable<Uint8Array>, to: FileHandle): Promise<StoredBytes> {
  const hash = createHash('sha256');
  let sizeBytes = 0;
  for await (const chunk of bytes) {
    hash.update(chunk);
    for (let done = 0; done < chunk.length;) {
      done += (await to.write(chunk, done)).bytesWritten;
    }
    sizeBytes += chunk.length;
  }
  return { sizeBytes, sha256: hash.digest('hex') };
}

async function copyReadOnly(source: string, path: string): Promise<void> {
  try {
    await copyFile(source, path, constants.COPYFILE_EXCL);
    await chmod(path, 0o444);
  } catch (error) {
    await rm(path, { force: true });
    throw explainDiskFull(error);
  }
}

/** Makes the names in a folder durable. */
async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function isAbsent(path: string): Promise<boolean> {
  return (await stat(path).catch(absent)) === undefined;
}

function absent(error: unknown): undefined {
  if (errnoOf(error) !== 'ENOENT') throw error;
}
