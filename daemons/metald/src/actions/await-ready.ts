import { moveTo, endpointOf, type Vm } from '../domain/vm.ts';
import { failVm } from './attach-vmm.ts';
import type { Context } from './context.ts';

/** Between two tries: a new guest is found within this. */
const pauseMs = 15;

/**
 * Asks the app until it answers: RUNNING. When it has not in its time: FAILED, and the VMM is
 * ended. Gives up when the VMM is let go of, such as when it ended by itself.
 */
export async function awaitReady(vm: Vm, letGo: AbortSignal, context: Context): Promise<void> {
  const { appProbe, clock } = context;
  const timeoutMs = vm.spec.readyTimeoutSeconds * 1000;
  const spentMs = Math.max(0, clock.now() - (vm.startedAtMs ?? clock.now()));
  const deadline = clock.monotonicMs() + Math.max(0, timeoutMs - spentMs);
  const endpoint = endpointOf(vm);
  while (!letGo.aborted) {
    if (await appProbe.answers(endpoint, letGo)) {
      await ifStillBooting(vm, letGo, context, async (booting) => {
        const ready = moveTo(booting, 'running');
        await context.store.put(ready);
        context.feed.publish(ready);
      });
      return;
    }
    if (clock.monotonicMs() >= deadline) {
      const { readyTimeoutSeconds, app } = vm.spec;
      const message = `the app did not answer on port ${app.port} within ${readyTimeoutSeconds} seconds`;
      await ifStillBooting(vm, letGo, context, async (booting) => {
        await failVm(booting, { reason: 'not_ready', message }, context);
      });
      return;
    }
    await clock.sleep(pauseMs, letGo).catch(() => undefined);
  }
}

function ifStillBooting(
  { id, bootEpoch }: Vm,
  letGo: AbortSignal,
  { mutex, store }: Context,
  act: (booting: Vm) => Promise<void>,
): Promise<void> {
  return mutex.run(id, async () => {
    const vm = await store.get(id);
    if (letGo.aborted || vm?.state !== 'booting' || vm.bootEpoch !== bootEpoch) return;
    await act(vm);
  });
}
