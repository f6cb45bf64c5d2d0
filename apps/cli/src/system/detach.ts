import { spawn } from 'node:child_process';
import { closeSync, createReadStream } from 'node:fs';
import { join } from 'node:path';
import { IngotError } from '@ingot/daemon-kit/client';
import type { CommandContext, ExitCode } from '../command.ts';
import { logPath, openLog } from './log-file.ts';
import { endProcess, processRef } from './process-ref.ts';
import { RunState } from './run-state.ts';

const pollMs = 100;
/** Above the time an instance needs to stop its daemons and remove its VMs. */
const stopGraceMs = 180_000;

/**
 * Starts `ingot up` as a process of its own that writes to logs/up.log, shows what it writes there,
 * and returns once it is ready (0) or has failed (1).
 */
export async function upDetached(
  context: CommandContext,
  deployExample: boolean,
): Promise<ExitCode> {
  const { settings, clock, env, repoDir, interrupted } = context;
  const path = logPath(settings.dataDir, 'up');
  const log = openLog(path);
  const child = spawn(
    context.nodePath,
    [
      '--disable-warning=ExperimentalWarning',
      join(repoDir, 'apps/cli/src/main.ts'),
      ...['up', '--logged'],
      ...['--data-dir', settings.dataDir],
      ...['--config', settings.configFile],
      ...(deployExample ? ['--deploy-example'] : []),
    ],
    { cwd: repoDir, env, detached: true, stdio: ['ignore', log.fd, log.fd] },
  );
  closeSync(log.fd);
  const ended = new Promise<void>((resolve) => child.on('exit', () => resolve()));
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', reject);
  });
  const self = processRef(child.pid ?? 0);
  const runState = new RunState(settings.dataDir);
  const isReady = (): boolean => {
    const up = runState.up();
    return up?.pid === child.pid && up?.phase === 'ready';
  };
  let from = log.from;
  while (child.exitCode === null && child.signalCode === null) {
    // Asked before reading, so that what it wrote on becoming ready is shown too.
    const ready = isReady();
    await clock.sleep(pollMs);
    from = await showFrom(context, path, from);
    if (ready) {
      child.unref();
      return 0;
    }
    if (interrupted.aborted && self) {
      await endProcess(self, clock, stopGraceMs);
      break;
    }
  }
  await ended;
  await showFrom(context, path, from);
  if (interrupted.aborted) return 1;
  throw new IngotError('unavailable', 'Ingot did not start', {
    remedy: `the lines above say why; they are in ${path} too`,
  });
}

/** Shows what a log holds from an offset on. @returns its end. */
async function showFrom(context: CommandContext, path: string, from: number): Promise<number> {
  let end = from;
  for await (const chunk of createReadStream(path, { start: from })) {
    end += (chunk as Buffer).length;
    context.out.write((chunk as Buffer).toString('utf8'));
  }
  return end;
}
