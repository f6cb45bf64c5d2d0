import { after } from 'node:test';
import { createLogger, systemClock } from '@ingot/daemon-kit';
import { type TempDir, tempDir } from '@ingot/testkit';
import { ChdbUsageStore } from './chdb-usage-store.ts';
import { testUsageStore } from './conformance.ts';

const directories: TempDir[] = [];
after(() => Promise.all(directories.map((directory) => directory.remove())));

async function openInTempDir(): Promise<ChdbUsageStore> {
  const directory = await tempDir();
  directories.push(directory);
  const logger = createLogger({ name: 'test', level: 'silent' });
  return ChdbUsageStore.open({ directory: directory.path, clock: systemClock, logger });
}

testUsageStore('chDB', openInTempDir);
