import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { IngotError, loadIdentity, messageOf } from '@ingot/daemon-kit';
import { takeBackCreation } from './actions/create-vm.ts';
import { finishDeleting } from './actions/delete-vm.ts';
import type { MetaldSettings } from './config.ts';
import { type HostDeps, openHost } from './open-host.ts';

/**
 * Ends every VM of this host and removes what they had: processes, namespaces, directories,
 * leases. For `ingot down`, while metald itself does not run. What was used until now is in the
 * journal and is sent by the next life of metald; leases that assetmanagerd cannot take back now,
 * too.
 *
 * @throws IngotError command_failed naming what is left, after everything else was removed.
 */
export async function removeEverything(settings: MetaldSettings, deps: HostDeps): Promise<void> {
  const { dataDir, logger } = deps;
  if (!existsSync(join(dataDir, 'metald', 'metald.sqlite'))) return;
  const identity = await loadIdentity(join(dataDir, 'pki'), 'metald');
  const host = await openHost({ ...settings, spareNetworkSlots: 0 }, identity, deps);
  const { store, network, mutex } = host.context;
  const problems: string[] = [];
  const tried = (what: string, step: Promise<unknown>): Promise<void> =>
    step.then(
      () => undefined,
      (error: unknown) => {
        problems.push(`${what}: ${messageOf(error)}`);
        logger.error({ err: error }, `${what} could not be removed`);
      },
    );
  try {
    const vms = (await store.unsettled()).filter(({ state }) => state !== 'deleted');
    const remove = (id: string): Promise<unknown> =>
      mutex.run(id, async () => {
        const vm = await store.get(id);
        if (vm?.intent === 'create') await takeBackCreation(vm, host.context);
        else if (vm) await finishDeleting(vm, host.context);
      });
    await Promise.all(vms.map(({ id }) => tried(`VM ${id}`, remove(id))));
  } finally {
    await host.close();
    await tried('the network', network.removeAll());
  }
  if (problems.length > 0) {
    throw new IngotError('command_failed', `not everything could be removed: ${problems[0]}`, {
      remedy: 'correct the cause and repeat it',
      log: problems,
    });
  }
}
