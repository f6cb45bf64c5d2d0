import { IngotError } from '@ingot/daemon-kit';

/** The error that names which of the assets asked for are not there. */
export function missingAssets(ids: readonly string[]): IngotError {
  const [one, ...more] = ids;
  const message =
    more.length === 0 ? `there is no asset ${one}` : `there are no assets ${ids.join(', ')}`;
  return new IngotError('asset_missing', message, {
    remedy: 'list the assets, or build or import the missing one again',
    facts: { assetId: ids.join(',') },
  });
}
