import { Counter, Histogram, type Registry } from '@ingot/daemon-kit';
import { type Build, isFinished } from '../domain/build.ts';

export interface BuildMetrics {
  readonly builds: Counter<'outcome'>;
  readonly seconds: Histogram<'cached'>;
}

export function createBuildMetrics(registry: Registry): BuildMetrics {
  return {
    builds: new Counter({
      name: 'ingot_builds_total',
      help: 'Builds that ended, by outcome: succeeded, reused, or why they failed',
      labelNames: ['outcome'],
      registers: [registry],
    }),
    seconds: new Histogram({
      name: 'ingot_build_seconds',
      help: 'From a build being asked for to its success',
      labelNames: ['cached'],
      buckets: [0.05, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800],
      registers: [registry],
    }),
  };
}

/** Counts a build when it has ended. */
export function countBuild(metrics: BuildMetrics, build: Build | undefined): void {
  if (!build || !isFinished(build)) return;
  const success = build.cached ? 'reused' : 'succeeded';
  metrics.builds.inc({ outcome: build.failure?.reason ?? success });
  if (build.state !== 'succeeded' || build.finishedAtMs === undefined) return;
  const seconds = (build.finishedAtMs - build.createdAtMs) / 1000;
  metrics.seconds.observe({ cached: String(build.cached) }, seconds);
}
