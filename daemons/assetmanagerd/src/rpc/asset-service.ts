import type { ServiceImpl } from '@connectrpc/connect';
import type { asset } from '@ingot/contracts';
import { callerOf, decodePageToken, encodePageToken, IngotError } from '@ingot/daemon-kit';
import { z } from 'zod';
import { collectGarbage } from '../actions/collect-garbage.ts';
import { deleteAsset } from '../actions/delete-asset.ts';
import { getAsset, listAssets } from '../actions/find-assets.ts';
import { acquireAsset, releaseHolder, renewLeases } from '../actions/lease-asset.ts';
import { prepareAssets } from '../actions/prepare-assets.ts';
import { registerAsset } from '../actions/register-asset.ts';
import type { Surroundings } from '../actions/surroundings.ts';
import { defaultLabel } from '../domain/asset.ts';
import {
  assetMessage,
  leaseMessage,
  preparedMessage,
  requiredTypeOfMessage,
  typeOfMessage,
} from './asset-messages.ts';

const defaultPageSize = 100;
const position = z.strictObject({ createdAtMs: z.number().int(), id: z.string() });

/** AssetManagerService over the actions. */
export function assetService(around: Surroundings): ServiceImpl<typeof asset.AssetManagerService> {
  return {
    registerAsset: async (request, context) => {
      refuseDefaultLabel(request.labels);
      const registration = {
        name: request.name,
        type: requiredTypeOfMessage(request.type),
        labels: request.labels,
        expectedSha256: request.expectedSha256 || undefined,
        // A caller's keys are its own.
        idempotencyKey: `${callerOf(context)}/${request.idempotencyKey}`,
      };
      const source = { inboxFile: request.location };
      return assetMessage(await registerAsset(registration, source, around));
    },
    getAsset: async ({ assetId }) => assetMessage(await getAsset(assetId.toLowerCase(), around)),
    listAssets: async ({ type, labels, pageSize, pageToken }) => {
      const { assets, next } = await listAssets(
        {
          type: typeOfMessage(type),
          labels,
          after: decodePageToken(position, pageToken),
          pageSize: pageSize || defaultPageSize,
        },
        around,
      );
      return {
        assets: assets.map(assetMessage),
        nextPageToken: next ? encodePageToken(next) : '',
      };
    },
    prepareAssets: async ({ assetIds, holder, leaseSeconds }) => {
      const ids = assetIds.map((id) => id.toLowerCase());
      const prepared = await prepareAssets({ assetIds: ids, holder, leaseSeconds }, around);
      return { assets: prepared.map(preparedMessage) };
    },
    acquireAsset: async ({ assetId, holder, leaseSeconds }) =>
      leaseMessage(
        await acquireAsset({ assetId: assetId.toLowerCase(), holder, leaseSeconds }, around),
      ),
    renewLease: async ({ leaseIds, leaseSeconds }) => {
      const ids = leaseIds.map((id) => id.toLowerCase());
      const { renewed, lost } = await renewLeases({ leaseIds: ids, leaseSeconds }, around);
      return { renewed: renewed.map(leaseMessage), lostLeaseIds: lost };
    },
    releaseAsset: async ({ holder }) => ({ released: await releaseHolder(holder, around) }),
    deleteAsset: async ({ assetId }) => {
      await deleteAsset(assetId.toLowerCase(), around);
      return {};
    },
    garbageCollect: async ({ maxAgeSeconds, dryRun }) => {
      const maxAgeMs = Number(maxAgeSeconds) * 1000;
      const { assetIds, freedBytes } = await collectGarbage({ maxAgeMs, dryRun }, around);
      return { deletedAssetIds: assetIds, freedBytes: BigInt(freedBytes) };
    },
  };
}

function refuseDefaultLabel(labels: Readonly<Record<string, string>>): void {
  if (!Object.hasOwn(labels, defaultLabel)) return;
  throw new IngotError(
    'permission_denied',
    `the label "${defaultLabel}" is given to the guest's kernel and initrd only`,
    { remedy: 'register the asset without it and name the asset by its id' },
  );
}
