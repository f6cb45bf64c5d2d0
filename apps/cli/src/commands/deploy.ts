import { create } from '@bufbuild/protobuf';
import { gateway } from '@ingot/contracts';
import { type Command, InvalidArgumentError } from 'commander';
import { followDeploy } from '../client/follow-deploy.ts';
import { createGatewayClient } from '../client/gateway-client.ts';
import type { CommandContext, ExitCode, RunCommand } from '../command.ts';
import { createDeployReport } from '../output/deploy-report.ts';
import { errorJson } from '../output/error-text.ts';
import { jsonLine } from '../output/json.ts';

interface DeployOptions {
  name: string;
  image: string;
  vcpu: number;
  memory: number;
  port?: number;
  env?: string[];
}

export function addDeploy(program: Command, run: RunCommand): void {
  program
    .command('deploy')
    .description('run a container image in its own microVM and show its progress')
    .requiredOption('--name <name>', 'its name, and its address: http://NAME.localhost', parseName)
    .requiredOption('--image <reference>', 'container image, such as 127.0.0.1:5000/shop:1')
    .option('--vcpu <count>', 'virtual processors', parseInteger, 1)
    .option('--memory <size>', 'memory, such as 256M or 1G; a bare number is MiB', parseMemory, 128)
    .option('--port <port>', "port the app listens on (default: the image's)", parseInteger)
    .option('--env <KEY=value>', 'add to its environment; may be repeated', collectEnv)
    .action(run((context, options: DeployOptions) => deploy(context, options)));
}

async function deploy(context: CommandContext, options: DeployOptions): Promise<ExitCode> {
  const { deployments } = createGatewayClient(context.settings);
  const request = create(gateway.DeployRequestSchema, {
    spec: {
      name: options.name,
      image: options.image,
      env: options.env ?? [],
      vcpus: options.vcpu,
      memoryMib: options.memory,
      port: options.port ?? 0,
    },
    idempotencyKey: context.newId(),
  });
  return showDeploy(context, options.name, (signal) => deployments.deploy(request, { signal }));
}

/** Shows a deploy or a start to its end. */
export async function showDeploy(
  context: CommandContext,
  name: string,
  open: (signal: AbortSignal) => AsyncIterable<gateway.DeployEvent>,
): Promise<ExitCode> {
  const report = createDeployReport(context);
  try {
    const { state } = await followDeploy(open, report, context);
    return state === gateway.DeploymentState.READY ? 0 : 1;
  } catch (error) {
    report.close();
    if (context.interrupted.aborted) {
      context.err.write(
        `\nThe deploy of ${name} goes on without us. See: ingot ps, ingot logs ${name}\n`,
      );
      return 1;
    }
    if (context.json) {
      context.out.write(jsonLine({ event: 'failed', step: 'request', ...logged(error) }));
    }
    throw error;
  }
}

function logged(error: unknown): Record<string, unknown> {
  return { log: [], ...errorJson(error) };
}

function parseInteger(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('It must be a whole number.');
  return Number(text);
}

/** MiB from "256", "256M", "256MiB", "1G" or "1GiB". */
export function parseMemory(text: string): number {
  const match = /^(\d{1,7})\s*(M|MB|MiB|G|GB|GiB)?$/i.exec(text);
  if (!match) throw new InvalidArgumentError('It must be a size such as 256M or 1G.');
  return Number(match[1]) * (match[2]?.toUpperCase().startsWith('G') ? 1024 : 1);
}

/** The names the API takes, for deployments and tenants alike. */
export function parseName(text: string): string {
  if (/^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$/.test(text)) return text;
  throw new InvalidArgumentError(
    'It must be at most 40 lower-case letters, digits and hyphens, with a letter first.',
  );
}

function collectEnv(text: string, before: string[] = []): string[] {
  if (!/^[^=]+=/.test(text)) throw new InvalidArgumentError('It must be KEY=value.');
  return [...before, text];
}
