import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import type { ServiceImpl } from '@connectrpc/connect';
import { builder } from '@ingot/contracts';
import { decodePageToken, encodePageToken } from '@ingot/daemon-kit';
import { z } from 'zod';
import type { BuildContext } from '../actions/build-context.ts';
import { buildNotFound, followBuildLog } from '../actions/follow-build-log.ts';
import { submitBuild } from '../actions/submit-build.ts';
import type { Build, BuildState, BuildStep } from '../domain/build.ts';

const states: Record<BuildState, builder.BuildState> = {
  queued: builder.BuildState.QUEUED,
  running: builder.BuildState.RUNNING,
  succeeded: builder.BuildState.SUCCEEDED,
  failed: builder.BuildState.FAILED,
};
const steps: Record<BuildStep, builder.BuildStep> = {
  resolve: builder.BuildStep.RESOLVE,
  pull: builder.BuildStep.PULL,
  rootfs: builder.BuildStep.ROOTFS,
  register: builder.BuildStep.REGISTER,
};
const pageSchema = z.object({ before: z.int() });
const defaultPageSize = 100;

/**
 * BuilderService over the actions.
 *
 * @param kick - tells the queue that there is work.
 */
export function createBuilderService(
  context: Pick<BuildContext, 'store' | 'feed' | 'clock'>,
  kick: () => void,
): ServiceImpl<typeof builder.BuilderService> {
  const { store } = context;
  return {
    buildFromImage: async ({ tenantId, image, idempotencyKey }) => {
      const build = await submitBuild(context, { tenantId, image, idempotencyKey });
      kick();
      return toMessage(build);
    },
    getBuild: async ({ buildId }) => {
      const build = await store.find(buildId);
      if (!build) throw buildNotFound(buildId);
      return toMessage(build);
    },
    listBuilds: async ({ tenantId, pageSize, pageToken }) => {
      const limit = pageSize || defaultPageSize;
      const before = decodePageToken(pageSchema, pageToken)?.before;
      const found = await store.list({ tenantId: tenantId || undefined, before, limit: limit + 1 });
      const builds = found.slice(0, limit);
      const last = builds.at(-1);
      const nextPageToken =
        found.length > limit && last ? encodePageToken({ before: last.sequence }) : '';
      return { builds: builds.map(toMessage), nextPageToken };
    },
    streamBuildLogs: async function* ({ buildId }, { signal }) {
      for await (const { atMs, step, line } of followBuildLog(context, buildId, signal)) {
        yield { at: timestampFromMs(atMs), step: steps[step], line };
      }
    },
  };
}

function toMessage(build: Build): builder.Build {
  const { config, failure, finishedAtMs } = build;
  const message: MessageInitShape<typeof builder.BuildSchema> = {
    id: build.id,
    tenantId: build.tenantId,
    image: build.image,
    resolvedImage: build.resolvedImage,
    state: states[build.state],
    step: build.step ? steps[build.step] : builder.BuildStep.UNSPECIFIED,
    rootfsAssetId: build.rootfsAssetId,
    cached: build.cached,
    createdAt: timestampFromMs(build.createdAtMs),
    ...(config && {
      config: {
        entrypoint: [...config.entrypoint],
        cmd: [...config.cmd],
        env: [...config.env],
        workingDir: config.workingDir,
        user: config.user,
        exposedPorts: [...config.exposedPorts],
      },
    }),
    ...(failure && { failure: { ...failure, step: steps[failure.step] } }),
    ...(finishedAtMs !== undefined && { finishedAt: timestampFromMs(finishedAtMs) }),
  };
  return create(builder.BuildSchema, message);
}
