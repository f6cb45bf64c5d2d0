import type { RunConfig } from './image-config.ts';

export type BuildState = 'queued' | 'running' | 'succeeded' | 'failed';
export type BuildStep = 'resolve' | 'pull' | 'rootfs' | 'register';

export interface BuildFailure {
  readonly step: BuildStep;
  readonly reason: string;
  readonly message: string;
  readonly remedy: string;
}

/** One image of one tenant on its way to a root file system. */
export interface Build {
  readonly id: string;
  /** Grows with every build: the order they came in. */
  readonly sequence: number;
  readonly tenantId: string;
  /** As the caller wrote it. */
  readonly image: string;
  readonly idempotencyKey: string;
  readonly state: BuildState;
  readonly step: BuildStep | undefined;
  /** How often it has been started; more than once means that builderd died meanwhile. */
  readonly attempts: number;
  /** registry/repository@sha256:… once resolved, else "". */
  readonly resolvedImage: string;
  readonly config: RunConfig | undefined;
  readonly rootfsAssetId: string;
  readonly failure: BuildFailure | undefined;
  /** Whether an earlier build's root file system was reused. */
  readonly cached: boolean;
  readonly createdAtMs: number;
  readonly finishedAtMs: number | undefined;
}

export interface BuildLogLine {
  /** 1 is the first of its build. */
  readonly number: number;
  readonly atMs: number;
  readonly step: BuildStep;
  readonly line: string;
}

/**
 * Part of what makes a root file system reusable: raise it whenever the same image would now give
 * other bytes (merge rules, mount points, squashfs settings).
 */
export const formatVersion = 1;

/** A build that took builderd down this often is given up. */
export const maxAttempts = 3;

export function isFinished({ state }: Pick<Build, 'state'>): boolean {
  return state === 'succeeded' || state === 'failed';
}

/**
 * Which queued build starts next: of the tenant with the fewest running, the one that waited
 * longest, so that nobody's queue holds up another tenant.
 *
 * @param queued - oldest first.
 */
export function pickNext(
  queued: readonly Build[],
  runningTenants: readonly string[],
): Build | undefined {
  const running = (tenantId: string) => runningTenants.filter((id) => id === tenantId).length;
  let best: { build: Build; running: number } | undefined;
  for (const build of queued) {
    const count = running(build.tenantId);
    if (!best || count < best.running) best = { build, running: count };
  }
  return best?.build;
}
