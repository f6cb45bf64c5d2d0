import { errnoOf, messageOf } from '@ingot/daemon-kit';
import type { AssetType } from '../domain/asset.ts';
import { listAssets } from './find-assets.ts';
import type { Surroundings } from './surroundings.ts';

/**
 * Whether assets can be stored and VMs can be given a kernel and an initrd, with what is wrong.
 *
 * @param guestProblem - why the guest's files are not the defaults; with older defaults in place
 *   that alone does not make it unready.
 */
export async function checkReadiness(
  request: { minFreeBytes: number; guestProblem: string | undefined },
  around: Pick<Surroundings, 'store' | 'registry' | 'clock'>,
): Promise<{ ready: boolean; reasons: string[] }> {
  const disk = await diskProblem(request.minFreeBytes, around);
  const reasons = [disk, request.guestProblem].filter((reason) => reason !== undefined);
  const lacking: string[] = [];
  for (const type of ['kernel', 'initrd'] as const) {
    if (!(await hasDefault(type, around))) lacking.push(type);
  }
  if (lacking.length > 0) reasons.push(`there is no default ${lacking.join(' and no default ')}`);
  return { ready: disk === undefined && lacking.length === 0, reasons };
}

async function diskProblem(
  minFreeBytes: number,
  { store }: Pick<Surroundings, 'store'>,
): Promise<string | undefined> {
  try {
    const { freeBytes } = await store.probe();
    if (freeBytes >= minFreeBytes) return undefined;
    return `the disk of the asset store has ${freeBytes} bytes left, fewer than ${minFreeBytes}; free space or collect garbage`;
  } catch (error) {
    return `the asset store cannot be written to (${errnoOf(error) ?? messageOf(error)}); check the disk of the data directory`;
  }
}

async function hasDefault(
  type: AssetType,
  around: Pick<Surroundings, 'registry' | 'clock'>,
): Promise<boolean> {
  const filter = { type, labels: { default: 'true' }, after: undefined, pageSize: 1 };
  return (await listAssets(filter, around)).assets.some(({ status }) => status === 'available');
}
