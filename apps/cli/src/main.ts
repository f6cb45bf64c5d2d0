import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { isatty } from 'node:tty';
import { systemClock, systemRandom } from '@ingot/daemon-kit/client';
import type { Output } from './context.ts';
import { runProgram } from './program.ts';

const interruption = new AbortController();
let interruptedAt = 0;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    // npm passes on the Ctrl-C that the terminal has sent already.
    const echo = performance.now() - interruptedAt < 1000;
    if (!interruption.signal.aborted) {
      interruptedAt = performance.now();
      interruption.abort(new Error(signal));
    } else if (!echo) process.stderr.write('still ending; please wait\n');
  });
}

// A reader that went away (`| head`) ends the command, not with a stack trace.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    interruption.abort(error);
  });
}

function output(stream: NodeJS.WriteStream & { fd: number }): Output {
  return {
    write: (text) => void stream.write(text),
    isTerminal: isatty(stream.fd) && process.env['TERM'] !== 'dumb',
    get columns() {
      return stream.columns || 80;
    },
  };
}

process.exitCode = await runProgram(process.argv.slice(2), {
  env: process.env,
  repoDir: join(import.meta.dirname, '../../..'),
  cwd: process.cwd(),
  pid: process.pid,
  isRoot: process.geteuid?.() === 0,
  nodePath: process.execPath,
  out: output(process.stdout),
  err: output(process.stderr),
  clock: systemClock,
  random: systemRandom,
  newId: randomUUID,
  interrupted: interruption.signal,
});
