import { chown, rename, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { errnoOf, IngotError, runCommand } from '@ingot/daemon-kit';

/**
 * Makes the VM's own disk: a sparse file with an empty ext4, owned by the VMM's user. One that is
 * there is kept as it is.
 *
 * @throws IngotError disk_full, or command_failed when mke2fs does.
 */
export async function makeOverlayDisk(path: string, diskMib: number, uid: number): Promise<void> {
  if (await exists(path)) return;
  const temporary = `${path}.tmp`;
  try {
    await writeFile(temporary, '', { mode: 0o600 });
    await truncate(temporary, diskMib * 1024 * 1024);
    // Lazy: tables are left as the zeros they are; nothing is reserved for root.
    const lazy = 'lazy_itable_init=1,lazy_journal_init=1,nodiscard';
    await runCommand('mke2fs', ['-q', '-F', '-t', 'ext4', '-m', '0', '-E', lazy, temporary], {
      timeoutMs: 30_000,
    });
    await chown(temporary, uid, uid);
    await rename(temporary, path);
  } catch (cause) {
    await rm(temporary, { force: true });
    if (errnoOf(cause) === 'ENOSPC') {
      throw new IngotError('disk_full', `no room on this host for the disk of a VM at ${path}`, {
        remedy: 'free space on the data directory, or remove deployments that are not needed',
        cause,
      });
    }
    throw cause;
  }
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}
