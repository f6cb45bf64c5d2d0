import { builder as proto } from '@ingot/contracts';
import { appCommand } from '../domain/app-command.ts';
import type { Deployment, ImageConfig, Rollout } from '../domain/deployment.ts';
import type { Context } from './context.ts';
import { failRollout, lastDetails } from './fail-rollout.ts';

/** How long to wait when a build's log ended before the build did. */
const lookAgainMs = 200;

/**
 * Has the image built and follows its log. Joins the build that an earlier try of the same
 * revision started; a rollout that has its root file system already is only moved on.
 *
 * @param signal - stops the following, not the build.
 */
export async function buildImage(
  context: Context,
  deployment: Deployment,
  rollout: Rollout,
  signal: AbortSignal,
): Promise<void> {
  if (rollout.rootfsAssetId !== '') return moveOn(context, rollout, rollout);
  if (rollout.phase === 'pending') {
    await context.store.change(
      rollout,
      {
        from: ['pending'],
        set: { phase: 'building' },
        events: [{ kind: 'step', text: 'build' }],
      },
      context.clock.now(),
    );
    return;
  }
  const build = await buildToEnd(context, deployment, rollout, signal);
  if (build.state === proto.BuildState.SUCCEEDED) {
    const image = imageConfigOf(build);
    // An image that cannot run must not cost a VM.
    appCommand(rollout.spec, image);
    const { resolvedImage, rootfsAssetId } = build;
    return moveOn(context, rollout, { resolvedImage, rootfsAssetId, imageConfig: image });
  }
  const { failure } = build;
  await failRollout(context, rollout, {
    step: 'build',
    reason: failure?.reason || 'build_failed',
    message: failure?.message || `building ${rollout.spec.image} failed`,
    remedy: failure?.remedy ?? '',
    log: await lastDetails(context, rollout),
  });
}

async function buildToEnd(
  context: Context,
  deployment: Deployment,
  rollout: Rollout,
  signal: AbortSignal,
): Promise<proto.Build> {
  const { builder, store, clock } = context;
  let build = await builder.buildFromImage(
    {
      tenantId: deployment.tenantId,
      image: rollout.spec.image,
      idempotencyKey: `${deployment.id}-${rollout.revision}`,
    },
    context.call(),
  );
  if (build.id !== rollout.buildId) {
    await store.change(rollout, { from: ['building'], set: { buildId: build.id } }, clock.now());
  }
  if (hasEnded(build) && build.cached) {
    await addDetail(context, rollout, 'built before: using that', rollout.buildLines);
    return build;
  }
  await followLog(context, rollout, build.id, signal);
  for (;;) {
    build = await builder.getBuild({ buildId: build.id }, context.call());
    if (hasEnded(build)) return build;
    await clock.sleep(lookAgainMs, signal);
  }
}

/** Turns the lines of the build's log into events, each one once however often this is called. */
async function followLog(
  context: Context,
  rollout: Rollout,
  buildId: string,
  signal: AbortSignal,
): Promise<void> {
  let number = 0;
  for await (const { line } of context.builder.streamBuildLogs({ buildId }, { signal })) {
    number += 1;
    if (number > rollout.buildLines) await addDetail(context, rollout, line, number);
  }
}

async function addDetail(
  context: Context,
  rollout: Rollout,
  text: string,
  buildLines: number,
): Promise<void> {
  await context.store.change(
    rollout,
    { from: ['building'], set: { buildLines }, events: [{ kind: 'detail', text }] },
    context.clock.now(),
  );
  context.feed.notify(rollout.id);
}

/** The VM gets its id here, in the books, before anyone is asked to make it. */
async function moveOn(
  context: Context,
  rollout: Rollout,
  built: Pick<Rollout, 'resolvedImage' | 'rootfsAssetId' | 'imageConfig'>,
): Promise<void> {
  const vmId = context.newId();
  const { resolvedImage, rootfsAssetId, imageConfig } = built;
  await context.store.change(
    rollout,
    {
      from: ['pending', 'building'],
      set: { phase: 'creating', resolvedImage, rootfsAssetId, imageConfig, vmId },
      events: [{ kind: 'step', text: 'create' }],
      addVm: {
        id: vmId,
        deploymentId: rollout.deploymentId,
        rolloutId: rollout.id,
        endpoint: '',
        drainUntil: 0,
      },
    },
    context.clock.now(),
  );
}

function hasEnded({ state }: proto.Build): boolean {
  return state === proto.BuildState.SUCCEEDED || state === proto.BuildState.FAILED;
}

function imageConfigOf({ config }: proto.Build): ImageConfig {
  return {
    entrypoint: config?.entrypoint ?? [],
    cmd: config?.cmd ?? [],
    env: config?.env ?? [],
    workingDir: config?.workingDir ?? '',
    user: config?.user ?? '',
    exposedPorts: config?.exposedPorts ?? [],
  };
}
