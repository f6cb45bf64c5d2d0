import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, IngotError, messageOf } from '@ingot/daemon-kit';
import { type GuestManifest, parseGuestManifest } from '../../domain/guest-manifest.ts';
import type { GuestFile, GuestFileName, GuestSource } from '../guest-source.ts';

const manifestName = 'manifest.json';
const chunkBytes = 1024 * 1024;

/** The folder that `guest/build` fills. */
export class LocalGuestSource implements GuestSource {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async fingerprint(): Promise<string> {
    const names = ['vmlinux', 'initrd', manifestName];
    const parts = names.map(async (name) => {
      const found = await stat(join(this.#folder, name)).catch(() => undefined);
      return found ? `${found.ino}/${found.size}/${found.mtimeMs}/${found.ctimeMs}` : 'missing';
    });
    return (await Promise.all(parts)).join(' ');
  }

  async manifest(): Promise<GuestManifest> {
    const path = join(this.#folder, manifestName);
    let text: string;
    try {
      text = await readFile(path, 'utf8');
    } catch (cause) {
      throw explainMissing(path, cause);
    }
    try {
      return parseGuestManifest(text);
    } catch (cause) {
      throw new IngotError('config_invalid', `${path} is not valid: ${messageOf(cause)}`, {
        remedy: 'make it again with `guest/build`',
        cause,
      });
    }
  }

  async open(name: GuestFileName): Promise<GuestFile> {
    const path = join(this.#folder, name);
    const read = () => createReadStream(path, { highWaterMark: chunkBytes });
    const hash = createHash('sha256');
    try {
      for await (const chunk of read()) hash.update(chunk);
    } catch (cause) {
      throw explainMissing(path, cause);
    }
    return { sha256: hash.digest('hex'), read };
  }
}

function explainMissing(path: string, cause: unknown): unknown {
  if (errnoOf(cause) !== 'ENOENT') return cause;
  return new IngotError('not_found', `the guest file ${path} is missing`, {
    remedy: 'make it with `guest/build` (part of `npm start`); it is picked up by itself',
    cause,
  });
}
