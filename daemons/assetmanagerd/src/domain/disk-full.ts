import { errnoOf, IngotError } from '@ingot/daemon-kit';

/** SQLITE_FULL: https://www.sqlite.org/rescode.html#full */
const sqliteFull = 13;

/** The error as `disk_full` with its remedy when that is what it says; else as it is. */
export function explainDiskFull(error: unknown): unknown {
  const errno = errnoOf(error);
  const isFull =
    errno === 'ENOSPC' ||
    errno === 'EDQUOT' ||
    (error instanceof Error && 'errcode' in error && error.errcode === sqliteFull);
  if (!isFull) return error;
  return new IngotError('disk_full', 'the disk that holds the assets is full', {
    remedy:
      'free space in the data directory, collect unused assets with `ingot gc`, and try again',
    cause: error,
  });
}
