import { timestampMs } from '@bufbuild/protobuf/wkt';
import { gateway } from '@ingot/contracts';
import type { Command } from 'commander';
import { everyPage } from '../client/every-page.ts';
import type { GatewayClient } from '../client/gateway-client.ts';
import { withGateway } from '../client/with-gateway.ts';
import type { CommandContext, ExitCode, RunCommand } from '../command.ts';
import { formatInstant } from '../output/duration.ts';
import { jsonLine, messageJson } from '../output/json.ts';
import { formatTable } from '../output/table.ts';
import { parseName } from './deploy.ts';

export function addTenants(program: Command, run: RunCommand): void {
  const tenants = program.command('tenants').description('customers (needs the admin key)');
  tenants
    .command('list', { isDefault: true })
    .description('list the tenants')
    .action(run((context) => list(context)));
  tenants
    .command('create')
    .description('add a tenant')
    .argument('<name>', 'lower-case letters, digits and hyphens', parseName)
    .action(run((context, name: string) => createTenant(context, name)));
}

/** Every tenant there is. */
export function listTenants({ tenants }: GatewayClient): Promise<gateway.Tenant[]> {
  return everyPage(
    (page) => tenants.listTenants(page),
    (answer) => answer.tenants,
  );
}

async function list(context: CommandContext): Promise<ExitCode> {
  const tenants = await withGateway(context, listTenants);
  if (context.json) {
    const all = tenants.map((tenant) => messageJson(gateway.TenantSchema, tenant));
    context.out.write(jsonLine({ tenants: all }));
    return 0;
  }
  const rows = tenants.map(({ id, name, createdAt }) => [
    name,
    id,
    createdAt ? formatInstant(timestampMs(createdAt)) : '',
  ]);
  context.out.write(
    formatTable([{ heading: 'NAME' }, { heading: 'ID' }, { heading: 'CREATED' }], rows),
  );
  return 0;
}

async function createTenant(context: CommandContext, name: string): Promise<ExitCode> {
  const tenant = await withGateway(context, ({ tenants }) => tenants.createTenant({ name }));
  if (context.json) {
    context.out.write(jsonLine(messageJson(gateway.TenantSchema, tenant)));
  } else {
    context.out.write(`${tenant.id}\n`);
    context.err.write(`✓ tenant ${name}; its first key: ingot keys create --tenant ${name}\n`);
  }
  return 0;
}
