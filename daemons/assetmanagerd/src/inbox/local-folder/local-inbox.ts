import { constants } from 'node:fs';
import { type FileHandle, lstat, mkdir, open, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, IngotError } from '@ingot/daemon-kit';
import type { Inbox, InboxFile } from '../inbox.ts';

const chunkBytes = 1024 * 1024;

/** A folder of this host. */
export class LocalInbox implements Inbox {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async open(folder: string): Promise<LocalInbox> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    return new LocalInbox(folder);
  }

  async open(name: string): Promise<InboxFile> {
    const handle = await openRegular(this.#path(name), `${name} in the inbox`);
    return {
      bytes: handle.createReadStream({ highWaterMark: chunkBytes, autoClose: false }),
      close: () => handle.close(),
    };
  }

  async remove(name: string): Promise<void> {
    await rm(this.#path(name), { force: true });
  }

  async list(changedBeforeMs: number): Promise<{ name: string; sizeBytes: number }[]> {
    const found: { name: string; sizeBytes: number }[] = [];
    for (const name of await readdir(this.#folder)) {
      const entry = await lstat(join(this.#folder, name)).catch(() => undefined);
      if (entry && !entry.isDirectory() && entry.mtimeMs < changedBeforeMs) {
        found.push({ name, sizeBytes: entry.size });
      }
    }
    return found;
  }

  #path(name: string): string {
    if (name.includes('/') || name === '' || name === '.' || name === '..') {
      throw new IngotError('invalid_argument', `"${name}" is not the name of a file in the inbox`);
    }
    return join(this.#folder, name);
  }
}

/**
 * Opens a regular file for reading, never through a symbolic link and never waiting for a pipe.
 *
 * @throws IngotError not_found, invalid_argument
 */
async function openRegular(path: string, what: string): Promise<FileHandle> {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
  const remedy = 'write the file into the inbox first, then register it by its name';
  let handle: FileHandle;
  try {
    handle = await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  } catch (cause) {
    const errno = errnoOf(cause);
    if (errno === 'ENOENT') {
      throw new IngotError('not_found', `there is no ${what}`, { remedy, cause });
    }
    if (errno === 'ELOOP' || errno === 'ENXIO') throw notRegular(what, remedy);
    throw cause;
  }
  if ((await handle.stat()).isFile()) return handle;
  await handle.close();
  throw notRegular(what, remedy);
}

function notRegular(what: string, remedy: string): IngotError {
  return new IngotError('invalid_argument', `${what} is not a regular file`, { remedy });
}
