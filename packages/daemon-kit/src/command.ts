import { spawn } from 'node:child_process';
import { errnoOf, IngotError } from './errors.ts';

export interface CommandOptions {
  /** Written to standard input, which is then closed. */
  input?: string | Uint8Array;
  /** The command is killed when it takes longer. */
  timeoutMs: number;
  /** The whole environment of the command; PATH alone when left out. */
  env?: Readonly<Record<string, string>>;
  cwd?: string;
  signal?: AbortSignal;
  /** More output than this kills the command. Default 1 MiB. */
  maxOutputBytes?: number;
}

export interface CommandResult {
  stdout: string;
  stderr: string;
}

const safePath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * Runs a program to its end, without a shell.
 *
 * @throws IngotError missing_program, deadline_exceeded, cancelled, or command_failed with the
 *   last lines of its standard error.
 */
export function runCommand(
  file: string,
  args: readonly string[],
  options: CommandOptions,
): Promise<CommandResult> {
  const limit = options.maxOutputBytes ?? 1024 * 1024;
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, {
      cwd: options.cwd,
      env: options.env ?? { PATH: safePath, LC_ALL: 'C' },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    const output: Record<'stdout' | 'stderr', Buffer[]> = { stdout: [], stderr: [] };
    let size = 0;
    let failure: IngotError | undefined;
    const fail = (error: IngotError): void => {
      failure ??= error;
      child.kill('SIGKILL');
    };
    const timer = setTimeout(() => {
      fail(new IngotError('deadline_exceeded', `${file} took longer than ${options.timeoutMs} ms`));
    }, options.timeoutMs);
    const onAbort = (): void => fail(new IngotError('cancelled', `${file} was cancelled`));
    options.signal?.addEventListener('abort', onAbort);
    if (options.signal?.aborted) onAbort();

    for (const name of ['stdout', 'stderr'] as const) {
      child[name].on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size <= limit) output[name].push(chunk);
        else fail(new IngotError('command_failed', `${file} wrote more than ${limit} bytes`));
      });
    }
    // A program that ends without reading its input is judged by its exit code, not by EPIPE.
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.input);

    const settle = (end: () => void): void => {
      clearTimeout(timer);
      options.signal?.removeEventListener('abort', onAbort);
      end();
    };
    child.on('error', (cause) => settle(() => reject(startError(file, cause))));
    child.on('close', (code, killedBy) => {
      const result = {
        stdout: Buffer.concat(output.stdout).toString('utf8'),
        stderr: Buffer.concat(output.stderr).toString('utf8'),
      };
      settle(() => {
        if (failure) reject(failure);
        else if (code === 0) resolve(result);
        else reject(exitError(file, args, code, killedBy, result));
      });
    });
  });
}

function startError(file: string, cause: Error): IngotError {
  if (errnoOf(cause) === 'ENOENT') {
    return new IngotError('missing_program', `${file} is not installed`, {
      remedy: 'run scripts/setup, which installs what Ingot needs',
      cause,
    });
  }
  return new IngotError('command_failed', `cannot start ${file}: ${cause.message}`, { cause });
}

function exitError(
  file: string,
  args: readonly string[],
  code: number | null,
  killedBy: string | null,
  result: CommandResult,
): IngotError {
  const log = (result.stderr || result.stdout).trim().split('\n').slice(-10);
  const how = code === null ? `was ended by ${killedBy ?? 'a signal'}` : `exited with ${code}`;
  const first = args[0] === undefined ? '' : ` ${args[0]}`;
  return new IngotError('command_failed', `${file}${first} ${how}: ${log.at(-1) ?? ''}`, { log });
}
