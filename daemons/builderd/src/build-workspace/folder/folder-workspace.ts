import { copyFile, mkdir, open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '@ingot/daemon-kit';
import type { BuildWorkspace } from '../build-workspace.ts';

export class FolderWorkspace implements BuildWorkspace {
  readonly #workDir: string;
  readonly #inboxDir: string;

  /**
   * @param workDir - all of it is the workspace's.
   * @param inboxDir - shared; only files named after builds are touched.
   */
  constructor(workDir: string, inboxDir: string) {
    this.#workDir = workDir;
    this.#inboxDir = inboxDir;
  }

  async reset(buildIds: readonly string[]): Promise<void> {
    await rm(this.#workDir, { recursive: true, force: true });
    for (const id of buildIds) await this.#empty(id);
  }

  async open(buildId: string): Promise<string> {
    const dir = join(this.#workDir, buildId);
    await rm(dir, { recursive: true, force: true });
    await mkdir(dir, { recursive: true, mode: 0o700 });
    return dir;
  }

  async handOver(buildId: string, path: string): Promise<string> {
    await mkdir(this.#inboxDir, { recursive: true, mode: 0o700 });
    const target = this.#inboxPath(buildId);
    try {
      await rename(path, target);
    } catch (error) {
      if (errnoOf(error) !== 'EXDEV') throw error;
      // The inbox is on another disk.
      const draft = this.#draftPath(buildId);
      await copyFile(path, draft);
      const file = await open(draft, 'r');
      await file.sync();
      await file.close();
      await rename(draft, target);
    }
    return fileName(buildId);
  }

  async remove(buildId: string): Promise<void> {
    await rm(join(this.#workDir, buildId), { recursive: true, force: true });
    await this.#empty(buildId);
  }

  async #empty(buildId: string): Promise<void> {
    await rm(this.#inboxPath(buildId), { force: true });
    await rm(this.#draftPath(buildId), { force: true });
  }

  #inboxPath(buildId: string): string {
    return join(this.#inboxDir, fileName(buildId));
  }

  #draftPath(buildId: string): string {
    return join(this.#inboxDir, `.${fileName(buildId)}.draft`);
  }
}

function fileName(buildId: string): string {
  return `build-${buildId}.squashfs`;
}
