import { join } from 'node:path';
import { IngotError, messageOf } from '@ingot/daemon-kit/client';
import { type Command, Option } from 'commander';
import { adminKeyPath, readAdminKey } from '../client/gateway-client.ts';
import type { CommandContext, ExitCode, RunCommand } from '../command.ts';
import { errorText } from '../output/error-text.ts';
import { hostChecks, requireAll, requireDataDir } from '../system/checks.ts';
import { daemonNames } from '../system/daemons.ts';
import { upDetached } from '../system/detach.ts';
import {
  deployExample,
  pickRegistryPort,
  publishExamples,
  registrySpec,
} from '../system/example.ts';
import { endLeftovers, Instance } from '../system/instance.ts';
import { requireFree } from '../system/port-holder.ts';
import { type ProcessRef, processRef } from '../system/process-ref.ts';
import { RunState, type UpRecord } from '../system/run-state.ts';

/** Who calls the daemons on the operator's behalf, such as to collect garbage. */
const operatorName = 'operator';

interface UpOptions {
  detach?: boolean;
  deployExample?: boolean;
  /** What is said ends up in a log, where a key has no place. */
  logged?: boolean;
}

export function addUp(program: Command, run: RunCommand): void {
  program
    .command('up')
    .description('start the five daemons; Ctrl-C ends them and every microVM')
    .option('--detach', 'run in the background and return once everything is ready')
    .option('--deploy-example', 'start a registry with the examples and deploy hello')
    .addOption(new Option('--logged').hideHelp())
    .action(run((context, options: UpOptions) => up(context, options)));
}

async function up(context: CommandContext, options: UpOptions): Promise<ExitCode> {
  requireAll(hostChecks(context));
  requireDataDir(context.settings.dataDir);
  if (options.detach) return upDetached(context, options.deployExample ?? false);
  const runState = new RunState(context.settings.dataDir);
  const record: UpRecord = {
    ...requireSelf(context),
    phase: 'starting',
    listen: { ...context.settings.listen },
  };
  runState.lock(record);
  try {
    return await runLocked(context, options, runState, record);
  } finally {
    runState.unlock();
  }
}

/** Runs an instance until it is interrupted; then, or when it cannot start, ends all of it. */
async function runLocked(
  context: CommandContext,
  options: UpOptions,
  runState: RunState,
  record: UpRecord,
): Promise<ExitCode> {
  const report = (line: string): void => context.out.write(`${line}\n`);
  const { dataDir } = context.settings;
  const instance = new Instance(context, { ...context, dataDir, runState, report });
  let failure: unknown;
  try {
    await endLeftovers(context, runState, report);
    await requirePorts(context);
    // Loaded here alone: making certificates needs more code than all other commands together.
    const { ensurePki } = await import('@ingot/daemon-kit');
    await ensurePki(join(dataDir, 'pki'), [...daemonNames, operatorName]);
    await instance.startDaemons(context.interrupted);
    const example = options.deployExample ? await bringExample(context, instance) : {};
    runState.update({ ...record, phase: 'ready' });
    announce(context, example, options.logged ?? false);
    await untilInterrupted(context.interrupted);
  } catch (error) {
    if (!context.interrupted.aborted) failure = error;
  }
  if (failure !== undefined) context.err.write(errorText(failure));
  report('stopping …');
  try {
    runState.update({ ...record, phase: 'stopping' });
  } catch (error) {
    // Such as a full disk: no reason to leave anything running.
    report(`! cannot note that Ingot stops: ${messageOf(error)}`);
  }
  const clean = await instance.stop();
  report(clean ? '✓ everything is stopped' : '✗ stopped, but not everything could be removed');
  return failure === undefined && clean ? 0 : 1;
}

async function requirePorts({ settings }: CommandContext): Promise<void> {
  for (const name of daemonNames) {
    const setting = `INGOT_${name.toUpperCase()}_LISTEN or ${name}.listen in ingot.yaml; INGOT_PORT_BASE moves all`;
    await requireFree(settings.listen[name], name, setting);
  }
}

interface ExampleResult {
  url?: string;
  registryPort?: number;
}

async function bringExample(context: CommandContext, instance: Instance): Promise<ExampleResult> {
  const report = (line: string): void => context.out.write(`${line}\n`);
  const registryPort = await pickRegistryPort(context, report);
  await instance.start(registrySpec(context, registryPort), context.interrupted);
  await publishExamples(context, registryPort);
  const url = await deployExample(context, registryPort);
  return { url, registryPort };
}

function announce(
  { settings, out }: CommandContext,
  { url, registryPort }: ExampleResult,
  logged: boolean,
): void {
  const key = logged ? `in ${adminKeyPath(settings.dataDir)}` : adminKey(settings.dataDir);
  const lines = [
    '',
    ...(url === undefined ? [] : [`hello       ${url}`]),
    `dashboard   ${settings.url}`,
    `admin key   ${key}`,
    ...(registryPort === undefined ? [] : [`registry    127.0.0.1:${registryPort}`]),
    `data        ${settings.dataDir} (logs in logs/)`,
    '',
    'Ingot is ready. Ctrl-C or `ingot down` ends it and every microVM.',
  ];
  out.write(`${lines.join('\n')}\n`);
}

function adminKey(dataDir: string): string {
  try {
    return readAdminKey(dataDir);
  } catch (error) {
    return `(${messageOf(error)})`;
  }
}

function requireSelf({ pid }: CommandContext): ProcessRef {
  const self = processRef(pid);
  if (self) return self;
  throw new IngotError('not_supported', '/proc does not show this process', {
    remedy: 'run on Linux with /proc mounted',
  });
}

/** Keeps the process alive until the signal aborts. */
function untilInterrupted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const keepAlive = setInterval(() => undefined, 60_000);
    const end = (): void => {
      clearInterval(keepAlive);
      resolve();
    };
    if (signal.aborted) end();
    else signal.addEventListener('abort', end);
  });
}
