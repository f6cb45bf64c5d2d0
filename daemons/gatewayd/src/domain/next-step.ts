import { type Deployment, isInProgress, type Rollout } from './deployment.ts';

/** What has to happen next for a deployment to become what is wanted. */
export type NextStep =
  | { do: 'build' | 'create' | 'boot'; rollout: Rollout }
  /** The deadline of the rollout has passed. */
  | { do: 'expire'; rollout: Rollout }
  /** All it had is gone: forget it. */
  | { do: 'forget' }
  | { do: 'nothing' };

/**
 * The one place that decides. It looks at what is stored, never at what happened before, so that a
 * gateway that was killed at any line goes on from where the books are.
 *
 * @param now - Unix ms.
 */
export function nextStep(deployment: Deployment, now: number): NextStep {
  if (deployment.desired === 'deleted') {
    return { do: deployment.vms.length === 0 ? 'forget' : 'nothing' };
  }
  const rollout = deployment.newest;
  if (deployment.desired === 'stopped' || !isInProgress(rollout)) return { do: 'nothing' };
  if (now >= rollout.deadlineAt) return { do: 'expire', rollout };
  if (rollout.phase === 'creating') return { do: 'create', rollout };
  if (rollout.phase === 'booting') return { do: 'boot', rollout };
  return { do: 'build', rollout };
}
