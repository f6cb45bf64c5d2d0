import { IngotError } from '@ingot/daemon-kit';
import { type Deployment, isInProgress, type Rollout, type Spec } from '../domain/deployment.ts';
import type { Context } from './context.ts';

const defaultMemoryMib = 128;

/**
 * Writes down that the tenant wants this deployed, as a new revision of its name.
 *
 * @returns the rollout that does it; with an idempotency key seen before, the one it made then.
 * @throws IngotError name_taken when another tenant has the name.
 */
export async function deploy(
  context: Context,
  tenantId: string,
  asked: Spec,
  idempotencyKey: string,
): Promise<Rollout> {
  const { store, clock } = context;
  const spec = {
    ...asked,
    vcpus: asked.vcpus || 1,
    memoryMib: asked.memoryMib || defaultMemoryMib,
  };
  if (idempotencyKey !== '') {
    const earlier = await store.findByIdempotencyKey(tenantId, idempotencyKey);
    if (earlier) return sameDeploy(earlier, spec, idempotencyKey);
  }
  const existing = await store.find(tenantId, spec.name);
  const rollout: Rollout = {
    ...blankRollout(context),
    deploymentId: existing?.id ?? context.newId(),
    revision: (existing?.newest.revision ?? 0) + 1,
    spec,
    idempotencyKey: idempotencyKey || undefined,
  };
  await (existing
    ? store.addRollout(rollout, clock.now())
    : store.add(tenantId, rollout, clock.now()));
  context.feed.notify(existing?.newest.id ?? '');
  return rollout;
}

/**
 * Writes down that a stopped or failed deployment shall run again, from what was built before.
 *
 * @returns the rollout that does it, or the one that is doing it or has done it already.
 */
export async function start(context: Context, deployment: Deployment): Promise<Rollout> {
  const { newest, desired } = deployment;
  if (desired === 'running' && isInProgress(newest)) return newest;
  if (desired === 'running' && deployment.serving) return deployment.serving;
  return startAgain(context, deployment, newest);
}

/** Writes down that what an earlier rollout had built shall run again. */
export async function startAgain(
  context: Context,
  { newest }: Deployment,
  earlier: Rollout,
): Promise<Rollout> {
  const { deploymentId, spec, buildId, resolvedImage, rootfsAssetId, imageConfig } = earlier;
  const rollout: Rollout = {
    ...blankRollout(context),
    ...{ deploymentId, spec, buildId, resolvedImage, rootfsAssetId, imageConfig },
    // Going back behind a newer revision makes a revision of its own.
    revision: earlier.revision === newest.revision ? newest.revision : newest.revision + 1,
  };
  await context.store.addRollout(rollout, context.clock.now());
  return rollout;
}

function blankRollout(context: Context): Omit<Rollout, 'deploymentId' | 'revision' | 'spec'> {
  return {
    id: context.newId(),
    phase: 'pending',
    idempotencyKey: undefined,
    deadlineAt: context.clock.now() + context.settings.deployTimeoutSeconds * 1000,
    buildId: '',
    resolvedImage: '',
    rootfsAssetId: '',
    imageConfig: undefined,
    buildLines: 0,
    vmId: '',
    lastError: '',
  };
}

function sameDeploy(earlier: Rollout, spec: Spec, key: string): Rollout {
  if (JSON.stringify(earlier.spec) !== JSON.stringify(spec)) {
    throw new IngotError(
      'already_exists',
      `the idempotency key ${key} was used for another deploy`,
      {
        remedy: 'use a fresh key for each deploy and the same key only to repeat one',
      },
    );
  }
  return earlier;
}
