import { IngotError, isIngotError } from '@ingot/daemon-kit';
import { type Build, type BuildFailure, formatVersion, maxAttempts } from '../domain/build.ts';
import { parseImageReference, resolvedName } from '../domain/image-reference.ts';
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
  try {
    // Written before the first step: if that takes the process down, it counts.
    await journal.update({ state: 'running', step: 'resolve', attempts });
    if (attempts > maxAttempts) throw gaveUp(build.attempts);
    if (attempts > 1) await journal.log('builderd was restarted; the build starts again');
    await perform(context, build, journal, signal);
  } catch (error) {
    if (stopping.aborted) return;
    const failure = describeFailure(context, build, journal, timeout.aborted ? undefined : error);
    await journal.log(`failed: ${failure.message}`);
    await journal.update({ state: 'failed', failure, finishedAtMs: context.clock.now() });
  } finally {
    await context.workspace.remove(build.id);
    await context.layers.trim();
  }
}

async function perform(
  context: BuildContext,
  build: Build,
  journal: BuildJournal,
  signal: AbortSignal,
): Promise<void> {
  const reference = parseImageReference(build.image);
  const repository = context.images.open(reference, signal);
  await journal.log(`resolving ${build.image}`);
  const document = await repository.fetchManifest(reference.digest ?? reference.tag);
  const resolvedImage = resolvedName(reference, document.digest);
  await journal.update({ resolvedImage });
  await journal.log(`it is ${resolvedImage}`);

  await context.perImage.run(`${build.tenantId} ${resolvedImage}`, async () => {
    signal.throwIfAborted();
    if (await reuse(context, build, journal, resolvedImage, signal)) return;
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
    await succeed(context, journal, assetId, false);
  });
}

/** Ends the build with an earlier result when that is still there. */
async function reuse(
  context: BuildContext,
  build: Build,
  journal: BuildJournal,
  resolvedImage: string,
  signal: AbortSignal,
): Promise<boolean> {
  const { tenantId } = build;
  const earlier = await context.store.findReusable({ tenantId, resolvedImage, formatVersion });
  if (!earlier?.config) return false;
  if (!(await isAvailable(context, earlier.rootfsAssetId, signal))) {
    await journal.log(`asset ${earlier.rootfsAssetId} of build ${earlier.id} is gone; building`);
    return false;
  }
  await journal.update({ config: earlier.config });
  await journal.log(`asset ${earlier.rootfsAssetId} of build ${earlier.id} is reused`);
  await succeed(context, journal, earlier.rootfsAssetId, true);
  return true;
}

async function succeed(
  { clock }: BuildContext,
  journal: BuildJournal,
  rootfsAssetId: string,
  cached: boolean,
): Promise<void> {
  await journal.update({ state: 'succeeded', rootfsAssetId, cached, finishedAtMs: clock.now() });
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
