import { createHash, type Hash, randomUUID } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, open, readdir, rename, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { PassThrough, type Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import {
  type Clock,
  errnoOf,
  IngotError,
  isIngotError,
  KeyedMutex,
  messageOf,
} from '@ingot/daemon-kit';
import { type Descriptor, malformed } from '../../domain/image-manifest.ts';
import { tooLarge } from '../../domain/policy.ts';
import { nameDiskFull } from './disk-errors.ts';
import type { Download, LayerStore, UnpackedLayer } from '../layer-store.ts';
import { openUnpackedLayer } from './unpacked-layer.ts';

export interface FolderLayerStoreOptions {
  readonly dir: string;
  /** What `trim` cuts down to. */
  readonly maxBytes: number;
  /** A layer used less long ago than this is never trimmed: a build may be about to unpack it. */
  readonly keepMs: number;
  readonly clock: Clock;
}

/** Layers as files named by digest, in one folder per owner. */
export class FolderLayerStore implements LayerStore {
  readonly #options: FolderLayerStoreOptions;
  readonly #mutex = new KeyedMutex();

  constructor(options: FolderLayerStoreOptions) {
    this.#options = options;
  }

  ensure(owner: string, blob: Descriptor, download: Download): Promise<boolean> {
    const path = this.#pathOf(owner, blob);
    return this.#mutex.run(path, async () => {
      if (await this.#isThere(path, blob.size)) return false;
      const draft = `${path}.${randomUUID()}.draft`;
      try {
        await mkdir(join(path, '..'), { recursive: true, mode: 0o700 });
        await download((bytes) => writeChecked(bytes, draft, blob));
        await rename(draft, path);
      } catch (error) {
        throw nameDiskFull(error, this.#options.dir);
      } finally {
        await rm(draft, { force: true });
      }
      return true;
    });
  }

  async unpack(
    owner: string,
    blob: Descriptor,
    target: { diffId: string; path: string; maxBytes: number },
    signal: AbortSignal,
  ): Promise<UnpackedLayer> {
    const path = this.#pathOf(owner, blob);
    const [packed, unpacked] = [createHash('sha256'), createHash('sha256')];
    const limit = target.maxBytes;
    try {
      const decoder = await createDecoder(path);
      await pipeline(
        createReadStream(path),
        counting(packed),
        decoder,
        counting(unpacked, (size) => {
          if (size > limit)
            tooLarge(`unpacked it has more than ${limit} bytes`, 'maxUnpackedBytes');
        }),
        createWriteStream(target.path, { mode: 0o600 }),
        { signal },
      );
    } catch (error) {
      signal.throwIfAborted();
      if (isIngotError(error)) throw error;
      if (errnoOf(error)?.startsWith('E')) throw nameDiskFull(error, target.path);
      await this.#checkStored(path, blob);
      malformed(`layer ${blob.digest} cannot be decompressed (${messageOf(error)})`);
    }
    const digest = hex(packed);
    if (digest !== blob.digest) await this.#drop(path, blob, digest);
    const diffId = hex(unpacked);
    if (diffId !== target.diffId) {
      throw new IngotError(
        'digest_mismatch',
        `layer ${blob.digest} unpacks to ${diffId}, but the image's configuration says ${target.diffId}`,
        { remedy: 'the image was put together wrongly; build it again and push it' },
      );
    }
    return openUnpackedLayer(target.path, blob.digest);
  }

  async trim(): Promise<void> {
    const { dir, maxBytes, keepMs, clock } = this.#options;
    const names = await readdir(dir, { recursive: true }).catch(() => []);
    const files: { path: string; size: number; usedAtMs: number }[] = [];
    for (const name of names) {
      const path = join(dir, name);
      const found = await stat(path).catch(() => undefined);
      if (found?.isFile()) files.push({ path, size: found.size, usedAtMs: found.mtimeMs });
    }
    let total = files.reduce((sum, { size }) => sum + size, 0);
    for (const file of files.toSorted((a, b) => a.usedAtMs - b.usedAtMs)) {
      if (total <= maxBytes || clock.now() - file.usedAtMs < keepMs) return;
      await rm(file.path, { force: true });
      total -= file.size;
    }
  }

  #pathOf(owner: string, blob: Descriptor): string {
    const folder = createHash('sha256').update(owner).digest('hex').slice(0, 32);
    return join(this.#options.dir, folder, blob.digest.replace('sha256:', ''));
  }

  async #isThere(path: string, size: number): Promise<boolean> {
    const found = await stat(path).catch(() => undefined);
    if (found?.size !== size) return false;
    const now = new Date(this.#options.clock.now());
    await utimes(path, now, now);
    return true;
  }

  /** Tells a damaged file of ours from an image that is wrong in itself. */
  async #checkStored(path: string, blob: Descriptor): Promise<void> {
    const hash = createHash('sha256');
    for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
    const digest = hex(hash);
    if (digest !== blob.digest) await this.#drop(path, blob, digest);
  }

  async #drop(path: string, blob: Descriptor, found: string): Promise<never> {
    await rm(path, { force: true });
    mismatch(blob, found, 'the stored copy was damaged and has been removed; deploy again');
  }
}

async function writeChecked(
  bytes: AsyncIterable<Uint8Array>,
  path: string,
  blob: Descriptor,
): Promise<void> {
  const hash = createHash('sha256');
  let size = 0;
  const check = counting(hash, (total) => {
    size = total;
    if (total > blob.size) mismatch(blob, `more than ${blob.size} bytes`, wrongBytes);
  });
  await pipeline(bytes, check, createWriteStream(path, { mode: 0o600 }));
  if (size !== blob.size) mismatch(blob, `${size} bytes instead of ${blob.size}`, wrongBytes);
  const digest = hex(hash);
  if (digest !== blob.digest) mismatch(blob, digest, wrongBytes);
}

const wrongBytes = 'the registry or something on the way changes data; push the image again';

/** Passes bytes on, hashing and counting them; what `check` throws ends the stream. */
function counting(hash: Hash, check?: (size: number) => void): Transform {
  let size = 0;
  return new PassThrough({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      size += chunk.length;
      try {
        check?.(size);
      } catch (error) {
        return done(error as Error);
      }
      done(null, chunk);
    },
  });
}

/** By the file's first bytes, as container runtimes do: media types are often wrong. */
async function createDecoder(path: string): Promise<Transform> {
  const file = await open(path);
  try {
    const { buffer } = await file.read(Buffer.alloc(4), 0, 4, 0);
    if (buffer.readUInt16BE(0) === 0x1f8b) return createGunzip();
    return buffer.readUInt32LE(0) === 0xfd2fb528 ? createZstdDecompress() : new PassThrough();
  } finally {
    await file.close();
  }
}

function hex(hash: Hash): string {
  return `sha256:${hash.digest('hex')}`;
}

function mismatch(blob: Descriptor, found: string, remedy: string): never {
  const message = `layer ${blob.digest} came as other bytes (${found})`;
  throw new IngotError('digest_mismatch', message, { remedy });
}
