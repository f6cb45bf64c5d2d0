import type { Vm } from '../domain/vm.ts';
import type { Context } from './context.ts';
import { stageAssets } from './stage-assets.ts';

const mostAtOnce = 5_000;

/** Renews every VM's leases; leases that were lost are taken anew. */
export async function renewLeases(context: Context): Promise<void> {
  const { store, assets, leaseSeconds, mutex, logger } = context;
  const holders = (await store.unsettled()).filter(
    (vm) => vm.intent === undefined && vm.state !== 'deleted',
  );
  const leaseIds = holders.flatMap((vm) => vm.assets?.leaseIds ?? []);
  const lost = new Set<string>();
  for (let from = 0; from < leaseIds.length; from += mostAtOnce) {
    const some = leaseIds.slice(from, from + mostAtOnce);
    const answer = await assets.renewLease({ leaseIds: some, leaseSeconds });
    for (const id of answer.lostLeaseIds) lost.add(id);
  }
  for (const { id, assets: had } of holders) {
    if (!had?.leaseIds.some((leaseId) => lost.has(leaseId))) continue;
    await mutex
      .run(id, async () => {
        const vm = await store.get(id);
        if (vm && vm.intent === undefined && vm.state !== 'deleted') await leaseAgain(vm, context);
      })
      .catch((error: unknown) => {
        logger.error({ err: error, vmId: id }, 'lost leases could not be taken anew');
      });
  }
}

async function leaseAgain(vm: Vm, context: Context): Promise<void> {
  const staged = await stageAssets(vm, context);
  await context.store.put({ ...vm, assets: staged.assets });
  context.logger.warn({ vmId: vm.id }, 'leases had run out and were taken anew');
}
