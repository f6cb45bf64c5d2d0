import { arch } from 'node:os';
import { join } from 'node:path';
import { asset, builder } from '@ingot/contracts';
import {
  type Clock,
  createMetrics,
  createRpcClient,
  KeyedMutex,
  loadIdentity,
  type Logger,
  type Random,
  startRpcServer,
} from '@ingot/daemon-kit';
import type { BuildContext } from './actions/build-context.ts';
import { BuildFeed } from './actions/build-feed.ts';
import { runBuild } from './actions/run-build.ts';
import { SqliteBuildStore } from './build-store/sqlite/sqlite-build-store.ts';
import { FolderWorkspace } from './build-workspace/folder/folder-workspace.ts';
import type { BuilderdSettings } from './config.ts';
import { RegistryImageSource } from './image-source/registry/registry-image-source.ts';
import { FolderLayerStore } from './layer-store/folder/folder-layer-store.ts';
import { countBuild, createBuildMetrics } from './loops/build-metrics.ts';
import { startBuildQueue } from './loops/build-queue.ts';
import { checkTools } from './rootfs-writer/tar2sqfs/check-tools.ts';
import { Tar2sqfsWriter } from './rootfs-writer/tar2sqfs/tar2sqfs-writer.ts';
import { createBuilderService } from './rpc/builder-service.ts';

export interface BuilderdDependencies {
  /** Absolute. builderd's own state is in `builderd` below it, certificates in `pki`. */
  readonly dataDir: string;
  /** Whether this process is root, so that the squashfs writer can be someone else. */
  readonly isRoot: boolean;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly random: Random;
}

export interface RunningBuilderd {
  readonly url: string;
  stop(): Promise<void>;
}

/** A little more than the files themselves: squashfs has tables. */
const outputSlackBytes = 64 * 1024 ** 2;

/** Builds everything, continues what was left, and serves. */
export async function startBuilderd(
  settings: BuilderdSettings,
  dependencies: BuilderdDependencies,
): Promise<RunningBuilderd> {
  const { dataDir, logger, clock, random } = dependencies;
  const identity = await loadIdentity(join(dataDir, 'pki'), 'builderd');
  const context = createContext(settings, dependencies, {
    store: new SqliteBuildStore(join(dataDir, 'builderd', 'builds.sqlite')),
    images: new RegistryImageSource({
      accounts: settings.registries,
      timeouts: { connectMs: settings.registryConnectMs, idleMs: settings.registryIdleMs },
      attempts: settings.registryAttempts,
      clock,
      random,
    }),
    assets: createRpcClient(asset.AssetManagerService, {
      url: settings.assetmanagerdUrl,
      identity,
      expect: 'assetmanagerd',
    }),
  });
  const unfinished = await context.store.unfinished();
  await context.workspace.reset(unfinished.map(({ id }) => id));

  const registry = createMetrics('builderd');
  const metrics = createBuildMetrics(registry);
  const queue = startBuildQueue({
    store: context.store,
    concurrency: settings.concurrentBuilds,
    clock,
    logger,
    run: async (build, stopping) => {
      await runBuild(context, build, stopping);
      countBuild(metrics, await context.store.find(build.id));
    },
  });
  const server = await startRpcServer({
    listen: settings.listen,
    identity,
    routes: (router) => {
      router.service(
        builder.BuilderService,
        createBuilderService(context, () => queue.kick()),
      );
    },
    allow: { [builder.BuilderService.typeName]: ['gatewayd'] },
    readiness: checkTools,
    metrics: registry,
    logger,
  }).catch(async (error: unknown) => {
    await queue.stop();
    throw error;
  });
  logger.info({ url: server.url, unfinished: unfinished.length }, 'builderd serves');
  return {
    url: server.url,
    stop: async () => {
      await server.close();
      await queue.stop();
      await context.images.close();
      await context.store.close();
    },
  };
}

function createContext<T extends Pick<BuildContext, 'store' | 'images' | 'assets'>>(
  settings: BuilderdSettings,
  { dataDir, isRoot, logger, clock, random }: BuilderdDependencies,
  backends: T,
): BuildContext & T {
  const stateDir = join(dataDir, 'builderd');
  const inboxDir = settings.inboxDir ?? join(dataDir, 'assetmanagerd', 'inbox');
  return {
    feed: new BuildFeed(),
    layers: new FolderLayerStore({
      dir: join(stateDir, 'layers'),
      maxBytes: settings.layerCacheBytes,
      keepMs: settings.buildTimeoutMs,
      clock,
    }),
    rootfs: new Tar2sqfsWriter({
      isRoot,
      sandboxUid: settings.sandboxUid,
      timeoutMs: settings.buildTimeoutMs,
      maxBytes: settings.maxUnpackedBytes + outputSlackBytes,
    }),
    workspace: new FolderWorkspace(join(stateDir, 'work'), inboxDir),
    perImage: new KeyedMutex(),
    policy: settings,
    architecture: goArchitecture(),
    buildTimeoutMs: settings.buildTimeoutMs,
    assetWaitMs: settings.assetWaitMs,
    clock,
    random,
    logger,
    ...backends,
  };
}

/** This host's CPU as images name it. */
function goArchitecture(): string {
  return arch() === 'x64' ? 'amd64' : arch();
}
