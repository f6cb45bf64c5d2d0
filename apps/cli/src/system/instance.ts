import { type IngotError, isIngotError, messageOf, runCommand } from '@ingot/daemon-kit/client';
import type { CommandContext } from '../command.ts';
import { formatDuration } from '../output/duration.ts';
import { Child, type ChildSpec, type ChildSurroundings } from './child.ts';
import { daemonEnvironment, type DaemonName, daemonNames, startWaves } from './daemons.ts';
import { readable } from './log-file.ts';
import { endProcess } from './process-ref.ts';
import { askReadiness } from './readiness.ts';
import { aliveProcess, type RunState } from './run-state.ts';

/** What else than the daemons `ingot up` may have started. */
export const registryName = 'registry';
const removeTimeoutMs = 120_000;

/** How a daemon is run. */
export function daemonSpec(context: CommandContext, name: DaemonName): ChildSpec {
  const { settings, repoDir, nodePath, env } = context;
  return {
    name,
    file: nodePath,
    args: ['--disable-warning=ExperimentalWarning', `daemons/${name}/src/main.ts`],
    cwd: repoDir,
    env: daemonEnvironment(name, {
      env,
      dataDir: settings.dataDir,
      configFile: settings.configFile,
      listen: settings.listen,
      section: settings.sections[name],
    }),
    probe: () => askReadiness(name, settings.listen[name], settings.dataDir),
  };
}

/** The processes of one running instance, in the order they were started. */
export class Instance {
  readonly #context: CommandContext;
  readonly #around: ChildSurroundings;
  readonly #children: Child[] = [];

  constructor(context: CommandContext, around: ChildSurroundings) {
    this.#context = context;
    this.#around = around;
  }

  /** Starts the five daemons, wave by wave, each once what it calls is ready. */
  async startDaemons(signal: AbortSignal): Promise<void> {
    for (const wave of startWaves) {
      await settleAll(wave.map((name) => this.start(daemonSpec(this.#context, name), signal)));
    }
  }

  /** Starts one process, waits until it is ready, and looks after it from then on. */
  async start(spec: ChildSpec, signal: AbortSignal): Promise<void> {
    const { clock, report } = this.#around;
    const startedAt = clock.monotonicMs();
    const child = new Child(spec, this.#around);
    this.#children.push(child);
    await child.start();
    const degraded = await child.ready(signal);
    child.watch();
    report(`✓ ${spec.name} is ready (${formatDuration(clock.monotonicMs() - startedAt)})`);
    for (const reason of degraded) report(`  ! ${reason}`);
  }

  /**
   * Ends everything, the last started first. The VMs go right after metald, while the daemons that
   * their leases and last usage belong to still run.
   *
   * @returns false when something could not be removed; it was reported.
   */
  async stop(): Promise<boolean> {
    let clean = true;
    for (const child of this.#children.splice(0).toReversed()) {
      await child.stop();
      if (child.spec.name === 'metald') clean = await removeVms(this.#context, this.#around.report);
    }
    return clean;
  }
}

/** Ends the processes of an instance whose `ingot up` died. @returns how many there were. */
export async function endLeftovers(
  { clock }: Pick<CommandContext, 'clock'>,
  runState: RunState,
  report: (line: string) => void,
): Promise<number> {
  let count = 0;
  const order = [...startWaves.flat().toReversed(), registryName];
  for (const name of order) {
    const left = aliveProcess(runState.child(name));
    if (left) {
      report(`ending ${name} (process ${left.pid}), left over from an instance that died`);
      await endProcess(left, clock, removeTimeoutMs / 10);
      count += 1;
    }
    runState.removeChild(name);
  }
  return count;
}

/** Has metald remove every VM with its namespace, mounts and files. False when it could not. */
export async function removeVms(
  context: CommandContext,
  report: (line: string) => void,
): Promise<boolean> {
  const spec = daemonSpec(context, 'metald');
  try {
    await runCommand(spec.file, [...spec.args, '--remove-everything'], {
      cwd: spec.cwd,
      env: spec.env,
      timeoutMs: removeTimeoutMs,
    });
    return true;
  } catch (error) {
    const said = messageOf(error).replace(`${spec.file} ${spec.args[0] ?? ''}`, 'metald');
    report(`✗ not every microVM could be removed: ${said}`);
    if (isIngotError(error)) for (const line of error.log) report(`  | ${readable(line)}`);
    report(`  → correct the cause, then: ingot down --data-dir ${context.settings.dataDir}`);
    return false;
  }
}

/** Waits for all, then rejects with the first failure that says most: a cause before an abort. */
async function settleAll(tasks: readonly Promise<void>[]): Promise<void> {
  const results = await Promise.allSettled(tasks);
  const errors = results.flatMap((result) =>
    result.status === 'rejected' ? [result.reason as IngotError] : [],
  );
  const [first] = errors;
  if (first) throw errors.find((error) => isIngotError(error)) ?? first;
}

/** Every process an instance may have, for looking at them. */
export const childNames: readonly string[] = [...daemonNames, registryName];
