import { randomUUID } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Client } from '@connectrpc/connect';
import { builder } from '@ingot/contracts';
import {
  createLogger,
  createRpcClient,
  ensurePki,
  loadIdentity,
  systemClock,
  systemRandom,
} from '@ingot/daemon-kit';
import { type RunningRegistry, startRegistry, tempDir } from '@ingot/testkit';
import { type RunningBuilderd, startBuilderd } from '../builderd.ts';
import { settingsSchema } from '../config.ts';
import { type StubAssetmanagerd, startStubAssetmanagerd } from './stub-assetmanagerd.ts';

export type BuilderClient = Client<typeof builder.BuilderService>;

/** A real registry, a real builderd and a stub of assetmanagerd, in a directory of their own. */
export interface Bench {
  readonly dataDir: string;
  readonly registry: RunningRegistry;
  readonly assets: StubAssetmanagerd;
  readonly client: BuilderClient;
  /** What builderd wrote to its log. */
  readonly log: string[];
  /** Builds and waits for the end. */
  build(image: string, options?: { tenantId?: string; key?: string }): Promise<builder.Build>;
  waitFor(buildId: string): Promise<builder.Build>;
  /** Stops builderd and starts it again on the same data, with other settings if given. */
  restart(settings?: Record<string, unknown>): Promise<void>;
  stopBuilderd(): Promise<void>;
  /** Files of builds that are neither stored nor wanted: must be none after a build. */
  leftovers(): Promise<string[]>;
  stop(): Promise<void>;
}

export async function startBench(
  options: { settings?: Record<string, unknown>; auth?: boolean } = {},
): Promise<Bench> {
  const temp = await tempDir('ingot-builderd-');
  const dataDir = join(temp.path, 'data');
  const pki = join(dataDir, 'pki');
  await ensurePki(pki, ['gatewayd', 'builderd', 'assetmanagerd']);
  const registry = await startRegistry({
    dir: join(temp.path, 'registry'),
    auth: options.auth ?? false,
  });
  const assets = await startStubAssetmanagerd(dataDir);
  const gateway = await loadIdentity(pki, 'gatewayd');
  const log: string[] = [];
  let running: RunningBuilderd | undefined;
  let client: BuilderClient;

  const start = async (settings: Record<string, unknown> = {}): Promise<void> => {
    const merged = { listen: '127.0.0.1:0', assetmanagerdUrl: assets.url, assetWaitMs: 2_000 };
    running = await startHere(dataDir, { ...merged, ...options.settings, ...settings }, log);
    const url = running.url;
    client = createRpcClient(builder.BuilderService, {
      url,
      identity: gateway,
      expect: 'builderd',
    });
  };
  const stopBuilderd = async (): Promise<void> => {
    await running?.stop();
    running = undefined;
  };
  const waitFor = async (buildId: string): Promise<builder.Build> => {
    for await (const _line of client.streamBuildLogs({ buildId })) {
      // The stream ends with the build.
    }
    return client.getBuild({ buildId });
  };
  await start();
  return {
    dataDir,
    registry,
    assets,
    get client() {
      return client;
    },
    log,
    waitFor,
    build: async (image, { tenantId = 'acme', key = randomUUID() } = {}) => {
      const { id } = await client.buildFromImage({ tenantId, image, idempotencyKey: key });
      return waitFor(id);
    },
    restart: async (settings) => {
      await stopBuilderd();
      await start(settings);
    },
    stopBuilderd,
    leftovers: async () => [
      ...(await readdir(join(dataDir, 'builderd', 'work')).catch(() => [])),
      ...(await assets.inbox()),
    ],
    stop: async () => {
      await stopBuilderd();
      await assets.stop();
      await registry.stop();
      await temp.remove();
    },
  };
}

function startHere(
  dataDir: string,
  settings: Record<string, unknown>,
  log: string[],
): Promise<RunningBuilderd> {
  const logger = createLogger({
    name: 'builderd',
    level: 'debug',
    destination: { write: (line) => void log.push(line) },
  });
  const isRoot = process.getuid?.() === 0;
  const surroundings = { dataDir, isRoot, clock: systemClock, random: systemRandom, logger };
  return startBuilderd(settingsSchema.parse(settings), surroundings);
}
