import { IngotError, isIngotError } from '@ingot/daemon-kit';
import { type Build, type BuildFailure, formatVersion, maxAttempts } from '../domain/build.ts';
import { parseImageReference, resolvedName } from '../domain/image-reference.ts';
import type { BuildPatch } from '../build-store/build-store.ts';
import type { BuildContext } from './build-context.ts';
import { BuildJournal } from './build-journal.ts';
import { isAvailable, registerRootfs } from './register-rootfs.ts';
import { resolveImage } from './resolve-image.ts';
import { pullLayers, writeRootfs } from './write-rootfs.ts';

/**
 * Takes a build from its first step to its end, whatever an earlier attempt left. Never rejects
 * for what is wrong with an image: that is the build's failure. When `stopping` aborts, the build
 * stays unfinished and starts again with the daemon.
 */
export async function runBuild(
  context: BuildContext,
  build: Build,
  stopping: AbortSignal,
): Promise<void> {
  const journal = new BuildJournal(context, build.id);
  const timeout = AbortSignal.timeout(context.buildTimeoutMs);
  const signal = AbortSignal.any([stopping, timeout]);
  const attempts = build.attempts + 1;
  let end: BuildPatch;
  try {
    // Written before the first step: if that takes the process down, it counts.
    await journal.update({ state: 'running', step: 'resolve', attempts });
    if (attempts > maxAttempts) throw gaveUp(build.attempts);
    if (attempts > 1) await journal.log('builderd was restarted; the build starts again');
    end = await perform(context, build, journal, signal);
  } catch (error) {
    if (stopping.aborted) return;
    const failure = describeFailure(context, build, journal, timeout.aborted ? undefined : error);
    await journal.log(`failed: ${failure.message}`);
    end = { state: 'failed', failure };
  }
  // Before the end is announced, so that an ended build has left nothing behind.
  await cleanUp(context, build);
  await journal.update({ ...end, finishedAtMs: context.clock.now() });
}

async function cleanUp({ workspace, layers, logger }: BuildContext, build: Build): Promise<void> {
  try {
    await workspace.remove(build.id);
    await layers.trim();
  } catch (error) {
    logger.error({ err: error, buildId: build.id }, 'a build could not be cleaned up');
  }
}

/** The steps of a build, up to what its success is. */
async function perform(
  context: BuildContext,
  build: Build,
  journal: BuildJournal,
  signal: AbortSignal,
): Promise<BuildPatch> {
  const reference = parseImageReference(build.image);
  const repository = context.images.open(reference, signal);
  await journal.log(`resolving ${build.image}`);
  const document = await repository.fetchManifest(reference.digest ?? reference.tag);
  const resolvedImage = resolvedName(reference, document.digest);
  await journal.update({ resolvedImage });
  await journal.log(`it is ${resolvedImage}`);

  return context.perImage.run(`${build.tenantId} ${resolvedImage}`, async () => {
    signal.throwIfAborted();
    const earlier = await findReusable(context, build, journal, resolvedImage, signal);
    if (earlier) return earlier;
    const image = await resolveImage(context, repository, document);
    await journal.update({ config: image.config.run });
    const pulled = { tenantId: build.tenantId, image, repository };

    await journal.enter('pull');
    await pullLayers(context, journal, pulled);

    await journal.enter('rootfs');
    const dir = await context.workspace.open(build.id);
    const rootfs = await writeRootfs(context, journal, pulled, dir, signal);

    await journal.enter('register');
    const assetId = await registerRootfs(context, build, resolvedImage, rootfs, signal);
    await journal.log(`registered as asset ${assetId}`);
    return { state: 'succeeded', rootfsAssetId: assetId, cached: false };
  });
}

/** What the build's end is if an earlier result is still there. */
async function findReusable(
  context: BuildContext,
  build: Build,
  journal: BuildJournal,
  resolvedImage: string,
  signal: AbortSignal,
): Promise<BuildPatch | undefined> {
  const { tenantId } = build;
  const earlier = await context.store.findReusable({ tenantId, resolvedImage, formatVersion });
  if (!earlier?.config) return undefined;
  const { id, config, rootfsAssetId } = earlier;
  if (!(await isAvailable(context, rootfsAssetId, signal))) {
    await journal.log(`asset ${rootfsAssetId} of build ${id} is gone; building`);
    return undefined;
  }
  await journal.log(`asset ${rootfsAssetId} of build ${id} is reused`);
  return { state: 'succeeded', config, rootfsAssetId, cached: true };
}

function gaveUp(attempts: number): IngotError {
  return new IngotError('build_failed', `builderd ended ${attempts} times during this build`, {
    remedy: "the operator finds why in builderd's log; memory is a common cause",
  });
}

/** @param error - undefined when the build ran out of time. */
function describeFailure(
  { logger, buildTimeoutMs }: BuildContext,
  build: Build,
  { step }: BuildJournal,
  error: unknown,
): BuildFailure {
  if (error === undefined) {
    const message = `the build took longer than ${buildTimeoutMs} ms`;
    const remedy = "make the image smaller, or raise builderd's buildTimeoutMs";
    return { step, reason: 'deadline_exceeded', message, remedy };
  }
  if (isIngotError(error)) {
    const last = error.log.at(-1);
    const message = last === undefined ? error.message : `${error.message} (${last})`;
    return { step, reason: error.reason, message, remedy: error.remedy };
  }
  logger.error({ err: error, buildId: build.id, step }, 'a build failed in a way nobody expected');
  const message = "builderd itself failed; the daemon's log has the cause";
  return { step, reason: 'internal', message, remedy: 'tell the operator the build id' };
}
