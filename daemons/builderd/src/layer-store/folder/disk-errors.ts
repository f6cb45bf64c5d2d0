import { errnoOf, IngotError } from '@ingot/daemon-kit';

/** The same error, or disk_full when that is what it says. */
export function nameDiskFull(error: unknown, dir: string): unknown {
  const code = errnoOf(error);
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return error;
  return new IngotError('disk_full', `the disk that holds ${dir} is full`, {
    remedy: 'free space there, or move the data directory to a larger disk; then deploy again',
    cause: error,
  });
}
