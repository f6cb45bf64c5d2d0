import type { Insertable, Selectable } from 'kysely';
import type {
  Deployment,
  Desired,
  EventBody,
  Failure,
  ImageConfig,
  OwnedVm,
  Phase,
  Rollout,
  Spec,
} from '../domain/deployment.ts';
import type { Database, Tables } from './schema.ts';

/** Reads a deployment with its rollouts and VMs; undefined when there is none. */
export async function loadDeployment(db: Database, id: string): Promise<Deployment | undefined> {
  const row = await db.selectFrom('deployment').selectAll().where('id', '=', id).executeTakeFirst();
  if (!row) return undefined;
  const ids = [row.newest_rollout, ...(row.serving_rollout ? [row.serving_rollout] : [])];
  const rollouts = await db.selectFrom('rollout').selectAll().where('id', 'in', ids).execute();
  const vms = await db.selectFrom('vm').selectAll().where('deployment_id', '=', id).execute();
  const newest = rollouts.find((rollout) => rollout.id === row.newest_rollout);
  if (!newest) throw new Error(`deployment ${id} has lost its newest rollout`);
  const serving = rollouts.find((rollout) => rollout.id === row.serving_rollout);
  return {
    id: row.id,
    tenantId: row.tenant_id,
    name: row.name,
    desired: row.desired as Desired,
    failure: row.failure_json === null ? undefined : (JSON.parse(row.failure_json) as Failure),
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    deletedAt: row.deleted_at ?? undefined,
    newest: rolloutOf(newest),
    serving: serving && rolloutOf(serving),
    vms: vms.map(vmOf),
  };
}

/** Adds events to a rollout's list, in order. */
export async function addEvents(
  db: Database,
  rolloutId: string,
  bodies: readonly EventBody[],
  at: number,
): Promise<void> {
  if (bodies.length === 0) return;
  const last = await db
    .selectFrom('event')
    .select(({ fn }) => fn.max('seq').as('seq'))
    .where('rollout_id', '=', rolloutId)
    .executeTakeFirst();
  const first = (last?.seq ?? 0) + 1;
  await db
    .insertInto('event')
    .values(
      bodies.map((body, index) => ({
        rollout_id: rolloutId,
        seq: first + index,
        at,
        body_json: JSON.stringify(body),
      })),
    )
    .execute();
}

export function rolloutOf(row: Selectable<Tables['rollout']>): Rollout {
  return {
    id: row.id,
    deploymentId: row.deployment_id,
    revision: row.revision,
    spec: JSON.parse(row.spec_json) as Spec,
    phase: row.phase as Phase,
    idempotencyKey: row.idempotency_key ?? undefined,
    deadlineAt: row.deadline_at,
    buildId: row.build_id,
    resolvedImage: row.resolved_image,
    rootfsAssetId: row.rootfs_asset_id,
    imageConfig:
      row.image_config_json === null
        ? undefined
        : (JSON.parse(row.image_config_json) as ImageConfig),
    buildLines: row.build_lines,
    vmId: row.vm_id,
    lastError: row.last_error,
  };
}

export function rowOfRollout(rollout: Rollout): Insertable<Tables['rollout']> {
  return {
    id: rollout.id,
    deployment_id: rollout.deploymentId,
    revision: rollout.revision,
    spec_json: JSON.stringify(rollout.spec),
    phase: rollout.phase,
    idempotency_key: rollout.idempotencyKey ?? null,
    deadline_at: rollout.deadlineAt,
    build_id: rollout.buildId,
    resolved_image: rollout.resolvedImage,
    rootfs_asset_id: rollout.rootfsAssetId,
    image_config_json: rollout.imageConfig ? JSON.stringify(rollout.imageConfig) : null,
    build_lines: rollout.buildLines,
    vm_id: rollout.vmId,
    last_error: rollout.lastError,
  };
}

export function vmOf(row: Selectable<Tables['vm']>): OwnedVm {
  return {
    id: row.id,
    deploymentId: row.deployment_id,
    rolloutId: row.rollout_id,
    endpoint: row.endpoint,
    drainUntil: row.drain_until,
  };
}
