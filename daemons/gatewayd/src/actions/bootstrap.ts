import { chmod, mkdir, open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { errnoOf, IngotError, type Logger } from '@ingot/daemon-kit';
import { hashApiKey, isApiKey, mintApiKey } from '../domain/api-key.ts';
import type { Tenant } from '../store/tenant-store.ts';
import { type KeyContext, storeKey } from './keys.ts';

const keyName = 'bootstrap';

/**
 * Makes sure there is the operator's tenant `default` and an admin key, whose secret is in a file
 * that only this user can read. The file is the truth: its key is put into the books, and any
 * other bootstrap key is revoked. So deleting the file and starting again rotates the key.
 *
 * @throws IngotError config_invalid when the file holds something that is not a key.
 */
export async function bootstrap(context: KeyContext, file: string, logger: Logger): Promise<void> {
  const tenant = await defaultTenant(context);
  const secret = (await readKey(file)) ?? (await writeKey(file, mintApiKey(context.randomBytes)));
  const known = await context.tenants.findKeyByHash(hashApiKey(secret));
  if (known?.revokedAt !== undefined) {
    logger.warn({ file }, 'the admin key in the file is revoked; delete the file for a new one');
  }
  if (known) return;
  await context.tenants.revokeKeysNamed(tenant.id, keyName, context.clock.now());
  await storeKey(context, { tenantId: tenant.id, name: keyName, admin: true }, secret);
}

async function defaultTenant({ tenants, newId, clock }: KeyContext): Promise<Tenant> {
  const found = await tenants.findTenant({ name: 'default' });
  if (found) return found;
  const tenant = { id: newId(), name: 'default', createdAt: clock.now() };
  await tenants.addTenant(tenant);
  return tenant;
}

async function readKey(file: string): Promise<string | undefined> {
  let text: string;
  try {
    text = (await readFile(file, 'utf8')).trim();
    await chmod(file, 0o600);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
  if (isApiKey(text)) return text;
  throw new IngotError('config_invalid', `${file} holds no API key`, {
    remedy: 'delete the file; a new admin key is made at the next start',
  });
}

async function writeKey(file: string, secret: string): Promise<string> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  const draft = `${file}.draft`;
  const handle = await open(draft, 'w', 0o600);
  try {
    await handle.writeFile(`${secret}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(draft, file);
  return secret;
}
