import type { ServiceImpl } from '@connectrpc/connect';
import type { gateway as proto } from '@ingot/contracts';
import { decodePageToken, encodePageToken } from '@ingot/daemon-kit';
import { z } from 'zod';
import { getUsage, type UsageContext } from '../actions/get-usage.ts';
import { createKey, type KeyContext, revokeKey, tenantOfKeys } from '../actions/keys.ts';
import { principalOf } from './authenticate.ts';
import { keyToProto, tenantToProto } from './to-proto.ts';

const defaultPageSize = 100;

/** For the operator only; the authentication sees to that. */
export function tenantService(actions: KeyContext): ServiceImpl<typeof proto.TenantService> {
  const { tenants, newId, clock } = actions;
  return {
    createTenant: async ({ name }) => {
      const tenant = { id: newId(), name, createdAt: clock.now() };
      await tenants.addTenant(tenant);
      return tenantToProto(tenant);
    },
    listTenants: async ({ pageSize, pageToken }) => {
      const after = decodePageToken(z.string(), pageToken) ?? '';
      const limit = pageSize || defaultPageSize;
      const found = await tenants.listTenants(after, limit);
      const last = found.length === limit ? found.at(-1) : undefined;
      return {
        tenants: found.map(tenantToProto),
        nextPageToken: last ? encodePageToken(last.name) : '',
      };
    },
  };
}

/** Keys of the caller's tenant, or for the operator of any. A key made here is never an admin's. */
export function keyService(actions: KeyContext): ServiceImpl<typeof proto.KeyService> {
  return {
    createKey: async ({ tenantId: asked, name }, context) => {
      const tenantId = await tenantOfKeys(actions, principalOf(context), asked);
      const { key, secret } = await createKey(actions, { tenantId, name, admin: false });
      return { key: keyToProto(key), secret };
    },
    listKeys: async ({ tenantId: asked, pageSize, pageToken }, context) => {
      const tenantId = await tenantOfKeys(actions, principalOf(context), asked);
      const after = decodePageToken(z.string(), pageToken) ?? '';
      const limit = pageSize || defaultPageSize;
      const found = await actions.tenants.listKeys(tenantId, after, limit);
      const last = found.length === limit ? found.at(-1) : undefined;
      return {
        keys: found.map(keyToProto),
        nextPageToken: last ? encodePageToken(last.id) : '',
      };
    },
    revokeKey: async ({ keyId }, context) =>
      keyToProto(await revokeKey(actions, principalOf(context), keyId)),
  };
}

export function usageService(actions: UsageContext): ServiceImpl<typeof proto.UsageService> {
  return {
    getUsage: async ({ name, fromUnixMs, toUnixMs }, context) => {
      const range = { from: instant(fromUnixMs), to: instant(toUnixMs) };
      const usage = await getUsage(actions, principalOf(context).tenantId, name, range);
      const { freshThrough, ...rest } = usage;
      return {
        ...rest,
        fromUnixMs: BigInt(usage.fromUnixMs),
        toUnixMs: BigInt(usage.toUnixMs),
        ...(freshThrough ? { freshThrough } : {}),
      };
    },
  };
}

/** An end of a range: "for ever" may be any large number. */
function instant(unixMs: bigint): number {
  const most = BigInt(Number.MAX_SAFE_INTEGER);
  return Number(unixMs < most ? unixMs : most);
}
