import { timestampMs } from '@bufbuild/protobuf/wkt';
import { gateway } from '@ingot/contracts';
import { IngotError } from '@ingot/daemon-kit/client';
import type { Command } from 'commander';
import { everyPage } from '../client/every-page.ts';
import type { GatewayClient } from '../client/gateway-client.ts';
import { withGateway } from '../client/with-gateway.ts';
import type { CommandContext, ExitCode, RunCommand } from '../command.ts';
import { formatInstant } from '../output/duration.ts';
import { jsonLine, messageJson } from '../output/json.ts';
import { formatTable } from '../output/table.ts';
import { listTenants } from './tenants.ts';

interface TenantOption {
  tenant?: string;
}

const tenantOption = ['--tenant <name>', "another tenant's, by name or id (admin key)"] as const;

export function addKeys(program: Command, run: RunCommand): void {
  const keys = program.command('keys').description('API keys');
  keys
    .command('list', { isDefault: true })
    .description('list the keys of your tenant')
    .option(...tenantOption)
    .action(run((context, options: TenantOption) => list(context, options)));
  keys
    .command('create')
    .description('make a key; its secret is shown this once')
    .option('--name <name>', 'what it is for', 'default')
    .option(...tenantOption)
    .action(
      run((context, options: TenantOption & { name: string }) => createKey(context, options)),
    );
  keys
    .command('revoke')
    .description('make a key worthless, for good')
    .argument('<id>', 'as `ingot keys` shows it')
    .action(run((context, id: string) => revoke(context, id)));
}

async function list(context: CommandContext, { tenant }: TenantOption): Promise<ExitCode> {
  const keys = await withGateway(context, async (client) => {
    const tenantId = await tenantIdOf(client, tenant);
    return everyPage(
      (page) => client.keys.listKeys({ ...page, tenantId }),
      (answer) => answer.keys,
    );
  });
  if (context.json) {
    const all = keys.map((key) => messageJson(gateway.ApiKeySchema, key));
    context.out.write(jsonLine({ keys: all }));
    return 0;
  }
  const rows = keys.map((key) => [
    key.id,
    key.name,
    `${key.prefix}…`,
    key.admin ? 'admin' : '',
    key.createdAt ? formatInstant(timestampMs(key.createdAt)) : '',
    key.revokedAt ? `revoked ${formatInstant(timestampMs(key.revokedAt))}` : 'valid',
  ]);
  const headings = ['ID', 'NAME', 'KEY', 'RIGHTS', 'CREATED', 'STATE'];
  context.out.write(
    formatTable(
      headings.map((heading) => ({ heading })),
      rows,
    ),
  );
  return 0;
}

async function createKey(
  context: CommandContext,
  { name, tenant }: TenantOption & { name: string },
): Promise<ExitCode> {
  const answer = await withGateway(context, async (client) =>
    client.keys.createKey({ name, tenantId: await tenantIdOf(client, tenant) }),
  );
  if (context.json) {
    context.out.write(jsonLine(messageJson(gateway.CreateKeyResponseSchema, answer)));
  } else {
    context.out.write(`${answer.secret}\n`);
    context.err.write('✓ keep it: it is stored as a hash and cannot be shown again\n');
  }
  return 0;
}

async function revoke(context: CommandContext, keyId: string): Promise<ExitCode> {
  const key = await withGateway(context, ({ keys }) => keys.revokeKey({ keyId }));
  if (context.json) context.out.write(jsonLine(messageJson(gateway.ApiKeySchema, key)));
  else context.err.write(`✓ key ${keyId} is revoked\n`);
  return 0;
}

/** "" is the caller's own tenant. */
async function tenantIdOf(client: GatewayClient, tenant: string | undefined): Promise<string> {
  if (tenant === undefined) return '';
  const all = await listTenants(client);
  const found = all.find(({ id, name }) => id === tenant || name === tenant);
  if (found) return found.id;
  throw new IngotError('tenant_not_found', `there is no tenant ${tenant}`, {
    remedy: '`ingot tenants` lists them',
  });
}
