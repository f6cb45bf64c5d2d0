import { IngotError } from '@ingot/daemon-kit';
import {
  type Deployment,
  type Desired,
  type EventBody,
  type Failure,
  isInProgress,
  type OwnedVm,
  type Phase,
  type Rollout,
  stepOf,
  type StoredEvent,
  viewOf,
} from '../domain/deployment.ts';
import { addEvents, loadDeployment, rolloutOf, rowOfRollout } from './rows.ts';
import type { Database } from './schema.ts';

/** What the books say changes in one commit: all of it or nothing. */
export interface RolloutChange {
  /** Only while the rollout is in one of these; else nothing changes. */
  from: readonly Phase[];
  set?: Partial<Rollout>;
  events?: readonly EventBody[];
  /** A VM that is about to be asked for. */
  addVm?: OwnedVm;
  /** Where the rollout's VM answers. */
  endpoint?: string;
}

/** Deployments, their rollouts, VMs and events. */
export class DeploymentStore {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  load(id: string): Promise<Deployment | undefined> {
    return loadDeployment(this.#db, id);
  }

  /** The tenant's living deployment of that name. */
  async find(tenantId: string, name: string): Promise<Deployment | undefined> {
    const row = await this.#db
      .selectFrom('deployment')
      .select('id')
      .where('tenant_id', '=', tenantId)
      .where('name', '=', name)
      .where('deleted_at', 'is', null)
      .executeTakeFirst();
    return row && this.load(row.id);
  }

  /** Living ones by name; from the one after `after`. */
  async list(tenantId: string, after: string, limit: number): Promise<Deployment[]> {
    const rows = await this.#db
      .selectFrom('deployment')
      .select('id')
      .where('tenant_id', '=', tenantId)
      .where('deleted_at', 'is', null)
      .where('name', '>', after)
      .orderBy('name')
      .limit(limit)
      .execute();
    const loaded = await Promise.all(rows.map((row) => this.load(row.id)));
    return loaded.filter((deployment) => deployment !== undefined);
  }

  /** Every living deployment's id, over all tenants. */
  async listIds(): Promise<string[]> {
    const rows = await this.#db
      .selectFrom('deployment')
      .select('id')
      .where('deleted_at', 'is', null)
      .execute();
    return rows.map((row) => row.id);
  }

  /** Names of all deployments the tenant ever had, by id. */
  async namesOf(tenantId: string): Promise<Map<string, string>> {
    const rows = await this.#db
      .selectFrom('deployment')
      .select(['id', 'name'])
      .where('tenant_id', '=', tenantId)
      .execute();
    return new Map(rows.map((row) => [row.id, row.name]));
  }

  /** The rollout that an earlier deploy of a living deployment with this key made. */
  async findByIdempotencyKey(tenantId: string, key: string): Promise<Rollout | undefined> {
    const row = await this.#db
      .selectFrom('rollout')
      .innerJoin('deployment', 'deployment.id', 'rollout.deployment_id')
      .selectAll('rollout')
      .where('deployment.tenant_id', '=', tenantId)
      .where('deployment.deleted_at', 'is', null)
      .where('rollout.idempotency_key', '=', key)
      .executeTakeFirst();
    return row && rolloutOf(row);
  }

  /**
   * Writes down a new deployment with its first rollout.
   *
   * @throws IngotError name_taken
   */
  async add(tenantId: string, rollout: Rollout, at: number): Promise<void> {
    const { name } = rollout.spec;
    await this.#db.transaction().execute(async (trx) => {
      const { numInsertedOrUpdatedRows } = await trx
        .insertInto('deployment')
        .values({
          id: rollout.deploymentId,
          tenant_id: tenantId,
          name,
          desired: 'running',
          newest_rollout: rollout.id,
          serving_rollout: null,
          failure_json: null,
          created_at: at,
          updated_at: at,
          deleted_at: null,
        })
        .onConflict((conflict) => conflict.doNothing())
        .executeTakeFirstOrThrow();
      if (!numInsertedOrUpdatedRows) {
        throw new IngotError('name_taken', `the name ${name} is taken`, {
          remedy: 'choose another name: it is a host name and there is one of each',
        });
      }
      await trx.insertInto('rollout').values(rowOfRollout(rollout)).execute();
    });
  }

  /**
   * Makes the rollout the newest one and running what is wanted; one in progress is cancelled.
   *
   * @throws IngotError illegal_state when the deployment is being deleted.
   */
  async addRollout(rollout: Rollout, at: number): Promise<void> {
    await this.#db.transaction().execute(async (trx) => {
      const before = await loadDeployment(trx, rollout.deploymentId);
      if (!before || before.desired === 'deleted') {
        throw new IngotError('illegal_state', `${rollout.spec.name} is being deleted`, {
          remedy: 'try again in a moment, when its name is free',
        });
      }
      await cancelNewest(
        trx,
        rollout.deploymentId,
        `revision ${rollout.revision} was started after it`,
        at,
      );
      await trx.insertInto('rollout').values(rowOfRollout(rollout)).execute();
      await trx
        .updateTable('deployment')
        .set({
          newest_rollout: rollout.id,
          desired: 'running',
          failure_json: null,
          updated_at: at,
        })
        .where('id', '=', rollout.deploymentId)
        .execute();
    });
  }

  /** Writes down that the deployment is to be stopped or deleted. Deleting is never taken back. */
  async want(id: string, desired: Exclude<Desired, 'running'>, at: number): Promise<void> {
    await this.#db.transaction().execute(async (trx) => {
      const set = { desired, serving_rollout: null, failure_json: null, updated_at: at };
      await trx
        .updateTable('deployment')
        .set(set)
        .where('id', '=', id)
        .where('desired', '!=', 'deleted')
        .execute();
      await cancelNewest(trx, id, `the deployment was ${desired}`, at);
    });
  }

  /** Moves a rollout on. False when something overtook it: nothing was written then. */
  async change(rollout: Rollout, change: RolloutChange, at: number): Promise<boolean> {
    return this.#db.transaction().execute(async (trx) => {
      const current = await loadDeployment(trx, rollout.deploymentId);
      if (current?.newest.id !== rollout.id || !change.from.includes(current.newest.phase)) {
        return false;
      }
      await trx
        .updateTable('rollout')
        .set(rowOfRollout({ ...current.newest, lastError: '', ...change.set }))
        .where('id', '=', rollout.id)
        .execute();
      const { addVm: vm, endpoint } = change;
      if (vm) {
        await trx
          .insertInto('vm')
          .values({
            id: vm.id,
            deployment_id: vm.deploymentId,
            rollout_id: vm.rolloutId,
            endpoint: vm.endpoint,
            drain_until: vm.drainUntil,
          })
          .execute();
      }
      if (endpoint !== undefined) {
        await trx.updateTable('vm').set({ endpoint }).where('id', '=', rollout.vmId).execute();
      }
      await addEvents(trx, rollout.id, change.events ?? [], at);
      await touch(trx, rollout.deploymentId, at);
      return true;
    });
  }

  /** Gives the route to the rollout; what served before may drain until `drainUntil`. */
  async becomeReady(rollout: Rollout, at: number, drainUntil: number): Promise<boolean> {
    return this.#db.transaction().execute(async (trx) => {
      const before = await loadDeployment(trx, rollout.deploymentId);
      if (before?.newest.id !== rollout.id || before.newest.phase !== 'booting') return false;
      await trx
        .updateTable('vm')
        .set({ drain_until: drainUntil })
        .where('deployment_id', '=', rollout.deploymentId)
        .where('rollout_id', '!=', rollout.id)
        .execute();
      await setPhase(trx, rollout.id, 'ready');
      await trx
        .updateTable('deployment')
        .set({ serving_rollout: rollout.id, failure_json: null, updated_at: at })
        .where('id', '=', rollout.deploymentId)
        .execute();
      await addLastEvent(trx, rollout.deploymentId, rollout.id, 'ready', at);
      return true;
    });
  }

  /** The rollout that was being brought up failed. What served before goes on. */
  async failRollout(rollout: Rollout, failure: Failure, at: number): Promise<boolean> {
    return this.#db.transaction().execute(async (trx) => {
      const before = await loadDeployment(trx, rollout.deploymentId);
      if (before?.newest.id !== rollout.id || !isInProgress(before.newest)) return false;
      await setPhase(trx, rollout.id, 'failed');
      await setFailure(trx, rollout.deploymentId, failure, at);
      await addLastEvent(trx, rollout.deploymentId, rollout.id, 'failed', at);
      return true;
    });
  }

  /** What served has ended by itself. */
  async failServing(rollout: Rollout, failure: Failure | undefined, at: number): Promise<boolean> {
    return this.#db.transaction().execute(async (trx) => {
      const { numUpdatedRows } = await trx
        .updateTable('deployment')
        .set({ serving_rollout: null })
        .where('id', '=', rollout.deploymentId)
        .where('serving_rollout', '=', rollout.id)
        .executeTakeFirstOrThrow();
      if (numUpdatedRows === 0n) return false;
      if (failure) await setFailure(trx, rollout.deploymentId, failure, at);
      return true;
    });
  }

  /** Whether the VM is one of ours. */
  async ownsVm(id: string): Promise<boolean> {
    const row = await this.#db
      .selectFrom('vm')
      .select('id')
      .where('id', '=', id)
      .executeTakeFirst();
    return row !== undefined;
  }

  /** The VM is known to be gone. */
  async removeVm(id: string): Promise<void> {
    await this.#db.deleteFrom('vm').where('id', '=', id).execute();
  }

  /** The deployment has nothing any more: its name is free, its id and name stay for billing. */
  async forget(id: string, at: number): Promise<void> {
    await this.#db
      .updateTable('deployment')
      .set({ deleted_at: at, updated_at: at })
      .where('id', '=', id)
      .where('deleted_at', 'is', null)
      .execute();
  }

  /** Events of a rollout after the given sequence number (0 for all), oldest first. */
  async eventsAfter(rolloutId: string, seq: number): Promise<StoredEvent[]> {
    const rows = await this.#db
      .selectFrom('event')
      .selectAll()
      .where('rollout_id', '=', rolloutId)
      .where('seq', '>', seq)
      .orderBy('seq')
      .execute();
    return rows.map((row) => ({
      seq: row.seq,
      at: row.at,
      body: JSON.parse(row.body_json) as EventBody,
    }));
  }
}

async function cancelNewest(trx: Database, id: string, why: string, at: number): Promise<void> {
  const current = await loadDeployment(trx, id);
  if (!current || !isInProgress(current.newest)) return;
  const { newest } = current;
  await setPhase(trx, newest.id, 'cancelled');
  const view = viewOf({ ...current, newest: { ...newest, phase: 'cancelled' } });
  const failure: Failure = {
    step: stepOf(newest.phase),
    reason: 'cancelled',
    message: `this deploy was given up: ${why}`,
    remedy: '',
    log: [],
  };
  const body: EventBody = { kind: 'failed', view: { ...view, failure } };
  await addEvents(trx, newest.id, [body], at);
}

async function addLastEvent(
  trx: Database,
  id: string,
  rolloutId: string,
  kind: 'ready' | 'failed',
  at: number,
): Promise<void> {
  const after = await loadDeployment(trx, id);
  if (after) await addEvents(trx, rolloutId, [{ kind, view: viewOf(after) }], at);
}

async function setPhase(trx: Database, rolloutId: string, phase: Phase): Promise<void> {
  await trx.updateTable('rollout').set({ phase }).where('id', '=', rolloutId).execute();
}

async function setFailure(trx: Database, id: string, failure: Failure, at: number): Promise<void> {
  await trx
    .updateTable('deployment')
    .set({ failure_json: JSON.stringify(failure), updated_at: at })
    .where('id', '=', id)
    .execute();
}

async function touch(trx: Database, id: string, at: number): Promise<void> {
  await trx.updateTable('deployment').set({ updated_at: at }).where('id', '=', id).execute();
}
