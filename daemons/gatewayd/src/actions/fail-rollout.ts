import type { Failure, Rollout } from '../domain/deployment.ts';
import type { Context } from './context.ts';

/** How many lines of a log explain a failure. */
const logLines = 20;

/**
 * Writes down that a rollout failed and why. Its VM, if any, is unwanted from then on, so the
 * reconciler removes it; a revision that serves goes on serving, and the message says so.
 */
export async function failRollout(
  context: Context,
  rollout: Rollout,
  failure: Failure,
): Promise<void> {
  const deployment = await context.store.load(rollout.deploymentId);
  const serving = deployment?.serving;
  const message = serving
    ? `${failure.message}; revision ${serving.revision} keeps serving`
    : failure.message;
  const log = failure.log.slice(-logLines);
  await context.store.failRollout(rollout, { ...failure, message, log }, context.clock.now());
  context.logger.info(
    { deployment: rollout.deploymentId, revision: rollout.revision, reason: failure.reason },
    `a deploy failed: ${failure.message}`,
  );
}

/** The last lines of detail a user was shown, oldest first. */
export async function lastDetails(context: Context, rollout: Rollout): Promise<string[]> {
  const events = await context.store.eventsAfter(rollout.id, 0);
  return events.flatMap(({ body }) => (body.kind === 'detail' ? [body.text] : [])).slice(-logLines);
}
