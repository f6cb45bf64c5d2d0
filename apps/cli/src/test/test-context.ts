import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { systemClock } from '@ingot/daemon-kit';
import type { CliContext } from '../context.ts';
import { runProgram } from '../program.ts';

export interface CommandRun {
  code: 0 | 1 | 2;
  out: string;
  err: string;
}

export const repoDir = join(import.meta.dirname, '../../../..');

/** Surroundings of a test's own: what is written is kept, the environment is only what is given. */
export function testContext(
  env: Readonly<Record<string, string>>,
  changes: Partial<CliContext> = {},
): { context: CliContext; written: { out: string; err: string } } {
  const written = { out: '', err: '' };
  const output = (name: 'out' | 'err') => ({
    write: (text: string) => void (written[name] += text),
    isTerminal: false,
    columns: 80,
  });
  const context: CliContext = {
    env: { PATH: process.env['PATH'], INGOT_CONFIG: '/nowhere/ingot.yaml', ...env },
    repoDir,
    cwd: '/',
    pid: process.pid,
    isRoot: true,
    nodePath: process.execPath,
    out: output('out'),
    err: output('err'),
    clock: systemClock,
    random: () => 0,
    newId: randomUUID,
    interrupted: new AbortController().signal,
    ...changes,
  };
  return { context, written };
}

/** Runs one command line as main.ts would. */
export async function ingot(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  changes: Partial<CliContext> = {},
): Promise<CommandRun> {
  const { context, written } = testContext(env, changes);
  const code = await runProgram(args, context);
  return { code, ...written };
}
