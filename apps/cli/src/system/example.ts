import { mkdirSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { gateway } from '@ingot/contracts';
import { IngotError, isIngotError, runCommand } from '@ingot/daemon-kit/client';
import { followDeploy } from '../client/follow-deploy.ts';
import { createGatewayClient, type GatewayClient } from '../client/gateway-client.ts';
import type { CommandContext } from '../command.ts';
import { createDeployReport } from '../output/deploy-report.ts';
import type { ChildSpec, ProbeResult } from './child.ts';
import { registryName } from './instance.ts';
import { portHolder, requireFree } from './port-holder.ts';
import { findProgram, registryProgram } from './programs.ts';

const exampleName = 'hello';
const publishTimeoutMs = 300_000;
const registryHost = '127.0.0.1';
const setting = 'INGOT_REGISTRY_PORT, or registryPort in ingot.yaml';

/**
 * The port for the example's registry: the one that was set, else 5000, else a free one.
 *
 * @throws IngotError port_taken when the one that was set is taken.
 */
export async function pickRegistryPort(
  { settings }: CommandContext,
  report: (line: string) => void,
): Promise<number> {
  const { registryPort: port, registryPortChosen } = settings;
  try {
    await requireFree(`${registryHost}:${port}`, 'the example registry', setting);
    return port;
  } catch (error) {
    if (registryPortChosen || !isIngotError(error, 'port_taken')) throw error;
    const other = await firstFree(port + 1);
    const holder = portHolder(port) ?? 'another program';
    report(`! port ${port} is taken by ${holder}: the example registry is on port ${other}`);
    return other;
  }
}

async function firstFree(from: number): Promise<number> {
  for (let port = from; port < from + 100; port++) {
    try {
      await requireFree(`${registryHost}:${port}`, 'the example registry', setting);
      return port;
    } catch (error) {
      if (!isIngotError(error, 'port_taken')) throw error;
    }
  }
  throw new IngotError('port_taken', `no port from ${from} on is free for the example registry`, {
    remedy: `choose one: ${setting}`,
  });
}

/** Debian's docker-registry on loopback, with its images in the data directory. */
export function registrySpec(context: CommandContext, port: number): ChildSpec {
  const dir = join(context.settings.dataDir, 'registry');
  const file = findProgram(registryProgram.name, context.env['PATH']);
  if (file === undefined) {
    throw new IngotError('missing_program', 'docker-registry is not installed', {
      remedy: 'run scripts/setup as root, or: apt-get install docker-registry',
    });
  }
  mkdirSync(dir, { recursive: true });
  const config = {
    version: 0.1,
    log: { level: 'info', accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: join(dir, 'storage') }, delete: { enabled: true } },
    http: { addr: `${registryHost}:${port}`, secret: 'one-process-only' },
  };
  const configPath = join(dir, 'config.yml');
  writeFileSync(configPath, JSON.stringify(config));
  return {
    name: registryName,
    file,
    args: ['serve', configPath],
    cwd: dir,
    env: { PATH: context.env['PATH'] ?? '/usr/bin:/bin', OTEL_TRACES_EXPORTER: 'none' },
    probe: () => askRegistry(port),
  };
}

/** Whether the registry answers. */
async function askRegistry(port: number): Promise<ProbeResult> {
  const status = await getStatus(`http://${registryHost}:${port}/v2/`);
  return status === 200 ? { ready: true, reasons: [] } : { ready: false, reasons: ['no answer'] };
}

/** Puts the examples' images into the registry; what is there already is left alone. */
export async function publishExamples(context: CommandContext, port: number): Promise<void> {
  await runCommand(
    context.nodePath,
    [
      '--disable-warning=ExperimentalWarning',
      'scripts/publish-examples.ts',
      `${registryHost}:${port}`,
    ],
    {
      cwd: context.repoDir,
      env: { PATH: context.env['PATH'] ?? '', INGOT_DATA_DIR: context.settings.dataDir },
      timeoutMs: publishTimeoutMs,
      signal: context.interrupted,
    },
  );
}

/**
 * Deploys `hello`, unless it is there: then it is waited for. Resolves once its URL answers.
 *
 * @throws IngotError app_exited, build_failed, … with why it failed.
 */
export async function deployExample(context: CommandContext, port: number): Promise<string> {
  const { deployments } = createGatewayClient(context.settings);
  const image = `${registryHost}:${port}/${exampleName}:1`;
  const report = createDeployReport({ ...context, json: false, out: context.err });
  const present = await comeBack(context, deployments);
  if (present !== undefined) return present;
  const request = create(gateway.DeployRequestSchema, {
    spec: { name: exampleName, image },
    idempotencyKey: context.newId(),
  });
  const { state, url, failure } = await followDeploy(
    (signal) => deployments.deploy(request, { signal }),
    report,
    context,
  ).finally(() => report.close());
  if (state !== gateway.DeploymentState.READY) {
    const why = failure ? `: ${failure.message}` : '';
    throw new IngotError('build_failed', `the example did not come up${why}`, {
      remedy: `the daemons' logs are in ${join(context.settings.dataDir, 'logs')}`,
    });
  }
  if (await answers(url, context.settings.url)) return url;
  throw new IngotError('not_ready', `${url} does not answer`, {
    remedy: 'see ingot ps and ingot logs hello',
  });
}

/** The URL of an example deployed earlier, once it answers; undefined when it must be deployed. */
async function comeBack(
  { clock, settings, interrupted }: CommandContext,
  deployments: GatewayClient['deployments'],
): Promise<string | undefined> {
  const deadline = clock.monotonicMs() + comeUpMs;
  while (clock.monotonicMs() < deadline) {
    const found = await deployments.get({ name: exampleName }).catch((error: unknown) => {
      if (isIngotError(error, 'not_found', 'deployment_not_found')) return undefined;
      throw error;
    });
    if (found === undefined || !onItsWay.has(found.state)) return undefined;
    if (await answers(found.url, settings.url)) return found.url;
    await clock.sleep(200, interrupted);
  }
  return undefined;
}

const comeUpMs = 60_000;
const onItsWay: ReadonlySet<gateway.DeploymentState> = new Set([
  gateway.DeploymentState.PENDING,
  gateway.DeploymentState.BUILDING,
  gateway.DeploymentState.STARTING,
  gateway.DeploymentState.READY,
]);

/** Whether a deployment's page answers 200, asked at gatewayd's own address. */
async function answers(url: string, gatewayUrl: string): Promise<boolean> {
  // *.localhost is loopback by RFC 6761, but not every resolver knows; gatewayd goes by the Host.
  const { host, pathname } = new URL(url);
  return (await getStatus(new URL(pathname, gatewayUrl).href, host)) === 200;
}

function getStatus(url: string, host?: string): Promise<number | undefined> {
  return new Promise((resolve) => {
    const options = { agent: false, timeout: 5000, ...(host ? { headers: { host } } : {}) };
    const request = http.get(url, options, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    request.on('timeout', () => request.destroy());
    request.on('error', () => resolve(undefined));
  });
}
