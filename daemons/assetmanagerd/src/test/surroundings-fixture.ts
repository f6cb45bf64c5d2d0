import { randomUUID } from 'node:crypto';
import { readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createLogger, KeyedMutex } from '@ingot/daemon-kit';
import { SimulatedClock, tempDir } from '@ingot/testkit';
import type { Surroundings } from '../actions/surroundings.ts';
import type { AssetStore } from '../asset-store/asset-store.ts';
import { LocalAssetStore } from '../asset-store/local-folder/local-asset-store.ts';
import { registerAsset, type Registration } from '../actions/register-asset.ts';
import type { Asset } from '../domain/asset.ts';
import { LocalInbox } from '../inbox/local-folder/local-inbox.ts';
import { SqliteRegistry } from '../registry/sqlite/sqlite-registry.ts';
import { LocalStaging } from '../staging/local-folder/local-staging.ts';

export interface Fixture extends AsyncDisposable {
  readonly path: string;
  readonly clock: SimulatedClock;
  readonly around: Surroundings;
  /** Opens the same directory again, as a daemon started anew does. */
  reopen(): Promise<Surroundings>;
  /** Writes a file into the inbox and registers it as a rootfs, unless told otherwise. */
  register(content: string, more?: Partial<Registration>): Promise<Asset>;
  /** Every file below a folder of the data directory, sorted. */
  files(folder: string): Promise<string[]>;
}

/** Real folders and a real registry in a temporary directory, with held time. */
export async function openFixture(options: { store?: AssetStore } = {}): Promise<Fixture> {
  const temp = await tempDir();
  const clock = new SimulatedClock();
  const opened: Surroundings[] = [];
  const reopen = async () => {
    const around = await open(temp.path, clock, options.store);
    opened.push(around);
    return around;
  };
  const around = await reopen();
  return {
    path: temp.path,
    clock,
    around,
    reopen,
    register: async (content, more = {}) => {
      const key = randomUUID();
      await writeFile(join(temp.path, 'inbox', key), content);
      return registerAsset(registrationOf(key, more), { inboxFile: key }, around);
    },
    files: async (folder) => {
      const base = join(temp.path, folder);
      const names = await readdir(base, { recursive: true });
      const kinds = await Promise.all(names.map((name) => stat(join(base, name))));
      return names.filter((_, index) => kinds[index]?.isFile()).toSorted();
    },
    [Symbol.asyncDispose]: async () => {
      for (const each of opened) await each.registry.close();
      await temp.remove();
    },
  };
}

export function registrationOf(key: string, more: Partial<Registration> = {}): Registration {
  return {
    name: 'an asset',
    type: 'rootfs',
    labels: {},
    expectedSha256: undefined,
    idempotencyKey: key,
    ...more,
  };
}

async function open(
  path: string,
  clock: SimulatedClock,
  given: AssetStore | undefined,
): Promise<Surroundings> {
  const store = given ?? (await LocalAssetStore.open(join(path, 'assets')));
  return {
    registry: new SqliteRegistry(join(path, 'registry.sqlite')),
    store,
    staging: await LocalStaging.open(join(path, 'staging'), store),
    inbox: await LocalInbox.open(join(path, 'inbox')),
    mutex: new KeyedMutex(),
    clock,
    logger: createLogger({ name: 'test', level: 'silent' }),
    newId: randomUUID,
  };
}
