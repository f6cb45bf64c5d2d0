import { IngotError } from '@ingot/daemon-kit';
import type { Clock } from '@ingot/daemon-kit';
import { hashApiKey, isApiKey, mintApiKey, prefixOf } from '../domain/api-key.ts';
import type { ApiKey, TenantStore } from '../store/tenant-store.ts';

/** Who calls, as their key says. */
export interface Principal {
  tenantId: string;
  keyId: string;
  /** The operator: may manage tenants and every tenant's keys. */
  admin: boolean;
}

/** What managing tenants and keys works with. */
export interface KeyContext {
  tenants: TenantStore;
  clock: Clock;
  newId: () => string;
  randomBytes: (size: number) => Uint8Array;
}

/** Unknown keys of the right shape that are answered as such in a second; more are put off. */
const failuresPerSecond = 10;

/** Tells who calls from an Authorization header. */
export class Authenticator {
  readonly #context: KeyContext;
  #second = 0;
  #failures = 0;

  constructor(context: KeyContext) {
    this.#context = context;
  }

  /** @throws IngotError unauthenticated; rate_limited when too many wrong keys come in. */
  async authenticate(authorization: string | null): Promise<Principal> {
    const key = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1];
    if (key === undefined) {
      throw new IngotError('unauthenticated', 'this needs an API key', {
        remedy: 'send "Authorization: Bearer KEY"; on the host itself `ingot` finds the admin key',
      });
    }
    if (!isApiKey(key)) throw wrongKey('this is not an API key: its checksum does not fit');
    const found = await this.#context.tenants.findKeyByHash(hashApiKey(key));
    if (found && found.revokedAt === undefined) {
      return { tenantId: found.tenantId, keyId: found.id, admin: found.admin };
    }
    this.#countFailure();
    throw wrongKey('this API key is not in use');
  }

  #countFailure(): void {
    const second = Math.floor(this.#context.clock.now() / 1000);
    if (second !== this.#second) this.#failures = 0;
    this.#second = second;
    this.#failures += 1;
    if (this.#failures > failuresPerSecond) {
      throw new IngotError('rate_limited', 'too many wrong API keys at once', {
        remedy: 'wait a second and check the key',
      });
    }
  }
}

function wrongKey(message: string): IngotError {
  return new IngotError('unauthenticated', message, {
    remedy: 'check that the whole key was copied, or ask for a new one',
  });
}

/** @throws IngotError permission_denied */
export function requireAdmin(principal: Principal): void {
  if (!principal.admin) {
    throw new IngotError('permission_denied', 'this needs the operator’s admin key');
  }
}

/**
 * The tenant whose keys are meant: the caller's own, or for an admin any.
 *
 * @throws IngotError permission_denied, tenant_not_found
 */
export async function tenantOfKeys(
  { tenants }: KeyContext,
  principal: Principal,
  asked: string,
): Promise<string> {
  if (asked === '' || asked === principal.tenantId) return principal.tenantId;
  requireAdmin(principal);
  const tenant = await tenants.findTenant({ id: asked });
  if (!tenant) throw new IngotError('tenant_not_found', `there is no tenant ${asked}`);
  return tenant.id;
}

/** Makes a key. The secret is in the answer and nowhere else. */
export async function createKey(
  context: KeyContext,
  of: { tenantId: string; name: string; admin: boolean },
): Promise<{ key: ApiKey; secret: string }> {
  const secret = mintApiKey(context.randomBytes);
  return { key: await storeKey(context, of, secret), secret };
}

export async function storeKey(
  { tenants, newId, clock }: KeyContext,
  of: { tenantId: string; name: string; admin: boolean },
  secret: string,
): Promise<ApiKey> {
  const key: ApiKey = {
    ...of,
    id: newId(),
    prefix: prefixOf(secret),
    createdAt: clock.now(),
    revokedAt: undefined,
  };
  await tenants.addKey(key, hashApiKey(secret));
  return key;
}

/**
 * Ends a key, at once and for good.
 *
 * @throws IngotError key_not_found, also for another tenant's; illegal_state for the caller's own.
 */
export async function revokeKey(
  { tenants, clock }: KeyContext,
  principal: Principal,
  keyId: string,
): Promise<ApiKey> {
  const key = await tenants.findKey(keyId);
  if (!key || (!principal.admin && key.tenantId !== principal.tenantId)) {
    throw new IngotError('key_not_found', `there is no key ${keyId}`);
  }
  if (key.id === principal.keyId) {
    throw new IngotError('illegal_state', 'a key cannot revoke itself', {
      remedy: 'make another key and revoke this one with that',
    });
  }
  await tenants.revokeKey(key.id, clock.now());
  return (await tenants.findKey(key.id)) ?? key;
}
