import { IngotError } from '@ingot/daemon-kit';
import { type BuildLogLine, isFinished } from '../domain/build.ts';
import type { BuildContext } from './build-context.ts';

const batchLines = 200;

/**
 * The lines of a build's log from the first, then as they come, until the build has ended.
 *
 * @throws IngotError build_not_found; the signal's reason when it aborts.
 */
export async function* followBuildLog(
  { store, feed }: Pick<BuildContext, 'store' | 'feed'>,
  buildId: string,
  signal: AbortSignal,
): AsyncGenerator<BuildLogLine> {
  const aborted = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
  aborted.catch(() => undefined);
  for (let after = 0; ;) {
    signal.throwIfAborted();
    const changed = feed.changed();
    const build = await store.find(buildId);
    if (!build) throw buildNotFound(buildId);
    const lines = await store.readLog(buildId, after, batchLines);
    yield* lines;
    after = lines.at(-1)?.number ?? after;
    if (lines.length === batchLines) continue;
    if (isFinished(build)) return;
    await Promise.race([changed, aborted]);
  }
}

export function buildNotFound(buildId: string): IngotError {
  return new IngotError('build_not_found', `there is no build ${buildId}`, {
    remedy: 'list the builds to see which there are',
  });
}
