import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Client } from '@connectrpc/connect';
import { gateway } from '@ingot/contracts';
import { createPlainRpcClient, errnoOf, IngotError } from '@ingot/daemon-kit/client';
import type { Settings } from '../settings.ts';

/** gatewayd's customer API with the user's key. Every call rejects with IngotError. */
export interface GatewayClient {
  readonly deployments: Client<typeof gateway.DeployService>;
  readonly tenants: Client<typeof gateway.TenantService>;
  readonly keys: Client<typeof gateway.KeyService>;
  readonly usage: Client<typeof gateway.UsageService>;
}

/** @throws IngotError unauthenticated when there is no key anywhere. */
export function createGatewayClient(settings: Settings): GatewayClient {
  const options = {
    url: settings.url,
    headers: { authorization: `Bearer ${settings.key ?? readAdminKey(settings.dataDir)}` },
  };
  return {
    deployments: createPlainRpcClient(gateway.DeployService, options),
    tenants: createPlainRpcClient(gateway.TenantService, options),
    keys: createPlainRpcClient(gateway.KeyService, options),
    usage: createPlainRpcClient(gateway.UsageService, options),
  };
}

/** Where gatewayd leaves the operator's key at its first start. */
export function adminKeyPath(dataDir: string): string {
  return join(dataDir, 'gatewayd', 'admin.key');
}

/** @throws IngotError unauthenticated */
export function readAdminKey(dataDir: string): string {
  const path = adminKeyPath(dataDir);
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (cause) {
    const denied = errnoOf(cause) === 'EACCES';
    throw new IngotError(
      'unauthenticated',
      denied
        ? `you may not read the admin key in ${path}`
        : `there is no API key: none was given and ${path} does not exist`,
      {
        remedy: denied
          ? 'become root, or set INGOT_KEY to a key of your own'
          : 'start Ingot with `ingot up`, or set INGOT_KEY to the key your operator gave you (and INGOT_URL to its address)',
        cause,
      },
    );
  }
}

/** Says what to do when nothing answers at gatewayd's address; any other error as it came. */
export function explainUnreachable(error: unknown, settings: Settings): unknown {
  const refused =
    error instanceof IngotError &&
    error.reason === 'unavailable' &&
    error.remedy === '' &&
    /ECONNREFUSED|ENOTFOUND|EAI_AGAIN|ECONNRESET|socket hang up|other side closed/.test(
      error.message,
    );
  if (!refused) return error;
  return new IngotError(
    'unavailable',
    `gatewayd does not answer at ${settings.url}: ${error.message}`,
    {
      remedy: '`ingot status` tells what runs; `ingot up` starts it; INGOT_URL is its address',
      cause: error,
    },
  );
}
