import type { metal as proto } from '@ingot/contracts';
import { type Clock, isIngotError, isTransient, messageOf } from '@ingot/daemon-kit';
import {
  type Deployment,
  isInProgress,
  type OwnedVm,
  isWanted,
  stepOf,
} from '../domain/deployment.ts';
import { type NextStep, nextStep } from '../domain/next-step.ts';
import { bootVm } from './boot-vm.ts';
import { buildImage } from './build-image.ts';
import { checkServing } from './check-serving.ts';
import type { Context } from './context.ts';
import { createVm } from './create-vm.ts';
import { failRollout, lastDetails } from './fail-rollout.ts';

/** A rollout that waits for its VM is looked at this often even if the host says nothing. */
const lookAgainMs = 5000;

/** What the reconciler does for one pass. */
export interface Surroundings {
  /** The VM as the host last told it, if it did. */
  knownVm(vmId: string): proto.Vm | undefined;
  /** Has an unwanted VM removed, beside this deployment's passes. */
  retire(vm: OwnedVm): void;
}

/** Again now, after so many milliseconds, or (undefined) only when something happens. */
export type Outcome = { againInMs: number | undefined };

/**
 * One pass: looks at the books and at what is true, and takes one step towards what is wanted.
 *
 * @param signal - aborts waiting, when the books have changed.
 * @throws a transient IngotError when another daemon is away: the same pass is to be tried again.
 */
export async function converge(
  context: Context,
  id: string,
  surroundings: Surroundings,
  signal: AbortSignal,
): Promise<Outcome> {
  const deployment = await context.store.load(id);
  // Its name may be another's by now.
  if (!deployment || deployment.deletedAt !== undefined) return { againInMs: undefined };
  publish(context, deployment);
  for (const vm of deployment.vms) {
    if (!isWanted(deployment, vm)) surroundings.retire(vm);
  }
  const servingVm = deployment.serving && surroundings.knownVm(deployment.serving.vmId);
  if (await checkServing(context, deployment, servingVm)) return { againInMs: 0 };
  const step = nextStep(deployment, context.clock.now());
  if (step.do === 'nothing') return { againInMs: undefined };
  if (step.do === 'forget') {
    await context.store.forget(id, context.clock.now());
    context.routes.remove(deployment.name);
    context.feed.notify(id);
    return { againInMs: undefined };
  }
  return (await take(context, deployment, step, signal))
    ? { againInMs: 0 }
    : { againInMs: lookAgainMs };
}

/** Routes first, so that who reads "ready" can use the URL at once. */
function publish({ routes, feed }: Context, deployment: Deployment): void {
  routes.apply(deployment);
  feed.notify(deployment.id, deployment.newest.id);
}

/** @returns false when there is nothing to do but wait. */
async function take(
  context: Context,
  deployment: Deployment,
  step: Exclude<NextStep, { do: 'nothing' | 'forget' }>,
  signal: AbortSignal,
): Promise<boolean> {
  const { rollout } = step;
  const timer = new AbortController();
  const limit = AbortSignal.any([signal, timer.signal]);
  expireAt(context.clock, rollout.deadlineAt, timer, limit);
  try {
    if (step.do === 'expire') {
      const seconds = context.settings.deployTimeoutSeconds;
      const last = rollout.lastError && `; the last error was: ${rollout.lastError}`;
      await failRollout(context, rollout, {
        step: stepOf(rollout.phase),
        reason: 'deadline_exceeded',
        message: `the deploy was not ready within ${seconds} s${last}`,
        remedy: 'see that all daemons run (`ingot status`) and deploy again',
        log: await lastDetails(context, rollout),
      });
    } else if (step.do === 'build') await buildImage(context, deployment, rollout, limit);
    else if (step.do === 'create') await createVm(context, deployment, rollout);
    else return await bootVm(context, rollout);
    return true;
  } catch (error) {
    if (limit.aborted) return true;
    if (!isIngotError(error) || isTransient(error) || error.reason === 'cancelled') throw error;
    await failRollout(context, rollout, {
      step: rollout.phase === 'booting' ? 'boot' : stepOf(rollout.phase),
      reason: error.reason,
      message: error.message,
      remedy: error.remedy,
      log: [...error.log],
    });
    return true;
  } finally {
    timer.abort();
  }
}

function expireAt(clock: Clock, at: number, timer: AbortController, over: AbortSignal): void {
  clock.sleep(Math.min(Math.max(0, at - clock.now()), 2 ** 31 - 1), over).then(
    () => timer.abort(),
    () => undefined,
  );
}

/** Tells the user, once per cause, that a deploy waits for a daemon that is away. */
export async function noteTrouble(context: Context, id: string, error: unknown): Promise<void> {
  const message = messageOf(error);
  const rollout = (await context.store.load(id))?.newest;
  if (!rollout || !isInProgress(rollout) || rollout.lastError === message) return;
  await context.store.change(
    rollout,
    {
      from: [rollout.phase],
      set: { lastError: message },
      events: [{ kind: 'warning', text: `${message}; trying again` }],
    },
    context.clock.now(),
  );
  context.feed.notify(rollout.id);
}
