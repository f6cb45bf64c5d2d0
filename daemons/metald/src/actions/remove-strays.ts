import { readdir, rm } from 'node:fs/promises';
import { errnoOf } from '@ingot/daemon-kit';
import type { Context } from './context.ts';
import { vmDir } from './launch-vmm.ts';

/** Ends VMMs and removes directories that no VM in the books stands behind. For start-up only. */
export async function removeStrays(context: Context): Promise<void> {
  const { store, hypervisor, logger, vmsDir } = context;
  for (const name of await namesIn(vmsDir)) {
    const vm = await store.get(name);
    if (vm && vm.state !== 'deleted') continue;
    const dir = vmDir(name, context);
    const stray = await hypervisor.findStray(name, dir);
    const vmm = stray && (await hypervisor.recover(stray));
    await vmm?.kill();
    await rm(dir, { recursive: true, force: true });
    logger.warn({ vmId: name, pid: stray?.pid }, 'removed what a VM that is in no books had left');
  }
}

async function namesIn(dir: string): Promise<string[]> {
  try {
    return await readdir(dir);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  }
}
