// metald killed at every step of every verb: the next life finds or takes back what was left, the
// repeated call works, and after a deletion nothing is left over.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type CutLife, cutShort } from '../test/cut-short.ts';
import { newVmId, untilState, World } from '../test/world.ts';
import { bootVm } from './boot-vm.ts';
import type { Context } from './context.ts';
import { createVm } from './create-vm.ts';
import { deleteVm } from './delete-vm.ts';
import { shutdownVm } from './shutdown-vm.ts';

interface Verb {
  name: string;
  /** What the VM has been through before. */
  prepare: (id: string, context: Context, world: World) => Promise<unknown>;
  act: (id: string, context: Context, world: World) => Promise<unknown>;
  /** What a caller does that has lost its answer, and the state that is reached in the end. */
  repeat: (id: string, context: Context, world: World) => Promise<unknown>;
}

const create = (id: string, context: Context, world: World) =>
  createVm({ id, spec: world.spec() }, context);
const run = async (id: string, context: Context, world: World) => {
  await create(id, context, world);
  await bootVm(id, context);
  await untilState(id, 'running', context);
};
const stop = async (id: string, context: Context) => {
  await shutdownVm({ id, graceMs: 50 }, context);
  await untilState(id, 'stopped', context);
};

const verbs: Verb[] = [
  {
    name: 'CreateVm',
    prepare: async () => undefined,
    act: create,
    repeat: async (id, context, world) => {
      assert.equal((await create(id, context, world)).state, 'created');
    },
  },
  {
    name: 'BootVm',
    prepare: create,
    act: async (id, context) => {
      await bootVm(id, context);
      await untilState(id, 'running', context);
    },
    repeat: async (id, context) => {
      await bootVm(id, context);
      assert.equal((await untilState(id, 'running', context)).bootEpoch, 1);
    },
  },
  {
    name: 'BootVm of a stopped VM',
    prepare: async (id, context, world) => {
      await run(id, context, world);
      await stop(id, context);
    },
    act: async (id, context) => {
      await bootVm(id, context);
      await untilState(id, 'running', context);
    },
    repeat: async (id, context) => {
      await bootVm(id, context);
      assert.equal((await untilState(id, 'running', context)).bootEpoch, 2);
    },
  },
  {
    name: 'ShutdownVm',
    prepare: run,
    act: stop,
    repeat: stop,
  },
  {
    name: 'DeleteVm',
    prepare: run,
    act: deleteVm,
    repeat: async (id, context) => {
      assert.equal((await deleteVm(id, context)).state, 'deleted');
    },
  },
];

/** Lets the verb run in a life that is cut; answers whether it was cut before its end. */
async function actAndDie(verb: Verb, id: string, life: CutLife, world: World): Promise<boolean> {
  const { attached } = life.context;
  const done = verb.act(id, life.context, world).then(() => false);
  const cut = await Promise.race([done, life.ended.then(() => true)]);
  // Timers and signals of the dead life end with it.
  void attached.detachAll();
  return cut;
}

async function assertTruth(id: string, context: Context, world: World): Promise<void> {
  const vm = await context.store.get(id);
  const alive = world.hypervisor.alive;
  const wantsVmm = ['created', 'booting', 'running', 'stopping'].includes(vm?.state ?? '');
  assert.equal(alive.length, wantsVmm ? 1 : 0, `${vm?.state} with ${alive.length} VMMs`);
  assert.equal(alive[0]?.record.pid, vm?.process?.pid);
  assert.equal(world.network.made.size, vm?.slot ? 1 : 0);
  const metered = vm !== undefined && ['booting', 'running', 'stopping'].includes(vm.state);
  assert.equal(world.metering.openRuns().length, metered ? 1 : 0);
  assert.equal(world.metering.measured.size, metered ? 1 : 0);
  assert.equal(world.assets.leases.size, vm && vm.state !== 'deleted' ? 1 : 0);
}

/** The end of a VMM is written down a moment after it. */
async function untilTrue(id: string, context: Context, world: World): Promise<void> {
  const end = performance.now() + 500;
  for (;;) {
    try {
      return await assertTruth(id, context, world);
    } catch (error) {
      if (performance.now() > end) throw error;
      await delay(10);
    }
  }
}

for (const verb of verbs) {
  test(`${verb.name}, cut at every step`, async () => {
    const world = await World.make();
    try {
      let taken: string[] = [];
      for (let at = 1; ; at++) {
        let wasCut = false;
        for (const before of [true, false]) {
          const id = newVmId();
          world.metering.runs.length = 0;
          const first = await world.open();
          await verb.prepare(id, first, world);
          await first.attached.detachAll();
          const life = cutShort(await world.open(), at, before);
          wasCut = await actAndDie(verb, id, life, world);
          taken = life.steps;
          world.metering.measured.clear();

          const next = await world.open();
          const where = `cut ${before ? 'before' : 'after'} ${taken.at(-1)} (step ${at})`;
          try {
            await untilTrue(id, next, world);
            await verb.repeat(id, next, world);
            await deleteVm(id, next);
            await untilTrue(id, next, world);
            assert.deepEqual(readdirSync(next.vmsDir), []);
            for (const ran of world.metering.runs) {
              assert.ok(ran.stoppedAtMs !== undefined, 'a run was never ended');
            }
          } catch (error) {
            throw new Error(where, { cause: error });
          }
        }
        if (!wasCut) break;
      }
      assert.ok(taken.length > 1, taken.join(' '));
    } finally {
      await world.remove();
    }
  });
}
