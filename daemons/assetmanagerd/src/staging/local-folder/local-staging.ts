import { chmod, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { AssetStore } from '../../asset-store/asset-store.ts';
import type { StagedName } from '../../domain/asset.ts';
import { explainDiskFull } from '../../domain/disk-full.ts';
import type { StagedFile, Staging } from '../staging.ts';

const draftPrefix = '.draft-';
const metadataName = 'metadata.json';
const holderName = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/**
 * Staging directories in one folder that is closed to other users, for an image may hold secrets: a
 * VMM opens its files while it is still root.
 */
export class LocalStaging implements Staging {
  readonly #folder: string;
  readonly #store: AssetStore;

  private constructor(folder: string, store: AssetStore) {
    this.#folder = folder;
    this.#store = store;
  }

  /** Opens (and makes) the folder. @param store - where the staged files come from. */
  static async open(folder: string, store: AssetStore): Promise<LocalStaging> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await chmod(folder, 0o700);
    return new LocalStaging(folder, store);
  }

  async create(holder: string, files: readonly StagedFile[]): Promise<void> {
    const draft = this.#draftOf(holder);
    const metadata = describe(holder, files);
    await rm(draft, { recursive: true, force: true });
    if (await this.#isRight(holder, files, metadata)) return;
    try {
      await mkdir(draft);
      for (const { assetId, name } of files) await this.#store.place(assetId, join(draft, name));
      await writeFile(join(draft, metadataName), metadata, { mode: 0o444 });
      await rm(this.#directoryOf(holder), { recursive: true, force: true });
      await rename(draft, this.#directoryOf(holder));
    } catch (error) {
      await rm(draft, { recursive: true, force: true });
      throw explainDiskFull(error);
    }
  }

  pathOf(holder: string, name: StagedName): string {
    return join(this.#directoryOf(holder), name);
  }

  async remove(holder: string): Promise<void> {
    if (!holderName.test(holder)) return;
    await rm(this.#draftOf(holder), { recursive: true, force: true });
    await rm(this.#directoryOf(holder), { recursive: true, force: true });
  }

  async holders(): Promise<string[]> {
    const names = await readdir(this.#folder);
    const holders = names.map((name) =>
      name.startsWith(draftPrefix) ? name.slice(draftPrefix.length) : name,
    );
    return [...new Set(holders.filter((holder) => holderName.test(holder)))];
  }

  #directoryOf(holder: string): string {
    return join(this.#folder, holder);
  }

  #draftOf(holder: string): string {
    return join(this.#folder, draftPrefix + holder);
  }

  async #isRight(holder: string, files: readonly StagedFile[], metadata: string): Promise<boolean> {
    try {
      const found = await readFile(join(this.#directoryOf(holder), metadataName), 'utf8');
      if (found !== metadata) return false;
      for (const { name, sizeBytes } of files) {
        if ((await stat(this.pathOf(holder, name))).size !== sizeBytes) return false;
      }
      return true;
    } catch {
      return false;
    }
  }
}

function describe(holder: string, files: readonly StagedFile[]): string {
  const ordered = files.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  return `${JSON.stringify({ holder, files: ordered }, undefined, 2)}\n`;
}
