import { type Clock, type Logger, startLoop } from '@ingot/daemon-kit';
import type { BuildStore } from '../build-store/build-store.ts';
import { type Build, pickNext } from '../domain/build.ts';

export interface BuildQueue {
  /** Looks for work now. */
  kick(): void;
  /** Starts nothing more; running builds are told to stop and waited for. */
  stop(): Promise<void>;
}

/** A look without being kicked, should a kick ever be lost. */
const everyMs = 5_000;

/**
 * Runs unfinished builds, oldest first and fair between tenants, at most `concurrency` at a time.
 * Builds that were running when the daemon died are unfinished too.
 */
export function startBuildQueue(options: {
  readonly store: BuildStore;
  readonly concurrency: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly run: (build: Build, stopping: AbortSignal) => Promise<void>;
}): BuildQueue {
  const { store, concurrency, clock, logger, run } = options;
  const stopping = new AbortController();
  const running = new Map<string, { tenantId: string; done: Promise<void> }>();

  const start = (build: Build): void => {
    const done = run(build, stopping.signal).then(
      () => {
        running.delete(build.id);
        loop.kick();
      },
      (error: unknown) => {
        // Such as a disk too full to record anything: try again at the next look, not at once.
        logger.error({ err: error, buildId: build.id }, 'a build could not be run');
        running.delete(build.id);
      },
    );
    running.set(build.id, { tenantId: build.tenantId, done });
  };
  const fill = async (): Promise<void> => {
    const waiting = (await store.unfinished()).filter(({ id }) => !running.has(id));
    while (running.size < concurrency && !stopping.signal.aborted) {
      const tenants = [...running.values()].map(({ tenantId }) => tenantId);
      const next = pickNext(waiting, tenants);
      if (!next) return;
      waiting.splice(waiting.indexOf(next), 1);
      start(next);
    }
  };
  const loop = startLoop({ name: 'build-queue', everyMs, clock, logger, run: fill });
  return {
    kick: () => loop.kick(),
    stop: async () => {
      stopping.abort();
      await loop.stop();
      await Promise.all([...running.values()].map(({ done }) => done));
    },
  };
}
