import type { Asset, AssetType, Labels } from '../domain/asset.ts';
import { missingAssets } from '../domain/missing-assets.ts';
import type { AssetQuery } from '../registry/registry.ts';
import type { Surroundings } from './surroundings.ts';

type Reading = Pick<Surroundings, 'registry' | 'clock'>;

/** @throws IngotError asset_missing */
export async function getAsset(id: string, { registry, clock }: Reading): Promise<Asset> {
  const asset = await registry.find(id, clock.now());
  if (!asset || asset.status === 'writing') throw missingAssets([id]);
  return asset;
}

/** One page, newest first; `next` is where the page after it starts, undefined on the last one. */
export async function listAssets(
  request: {
    type: AssetType | undefined;
    labels: Labels;
    after: AssetQuery['after'];
    pageSize: number;
  },
  { registry, clock }: Reading,
): Promise<{ assets: Asset[]; next: AssetQuery['after'] }> {
  const { pageSize, ...filter } = request;
  const found = await registry.list({ ...filter, limit: pageSize + 1 }, clock.now());
  const assets = found.slice(0, pageSize);
  const last = found.length > pageSize ? assets.at(-1) : undefined;
  return { assets, next: last && { createdAtMs: last.createdAtMs, id: last.id } };
}
