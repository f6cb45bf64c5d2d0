import { spawn } from 'node:child_process';
import { open, readFile, rm } from 'node:fs/promises';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { errnoOf, IngotError } from '@ingot/daemon-kit';
import { vmFiles } from './qemu-arguments.ts';
import { Qmp } from './qmp.ts';

const startTimeoutMs = 20_000;
const pollMs = 5;

export interface QemuStart {
  program: string;
  args: readonly string[];
  /** The VM's directory: QEMU's working directory until it gives the host's files up. */
  dir: string;
  netns: string;
  /** No file of the VM may grow beyond this. */
  maxFileBytes: number;
}

/**
 * Starts QEMU as nobody's child and waits until it answers on its control socket, which it does
 * once everything is open and root is given up.
 *
 * @throws IngotError boot_failed with what QEMU said.
 */
export async function startQemu(start: QemuStart): Promise<Qmp> {
  for (const name of [vmFiles.pid, vmFiles.qmp, vmFiles.control]) {
    await rm(join(start.dir, name), { force: true });
  }
  const ended = await spawnDetached(start);
  for (let waited = 0; waited < startTimeoutMs; waited += pollMs) {
    try {
      return await Qmp.connect(join(start.dir, vmFiles.qmp));
    } catch (error) {
      const notYet = errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ECONNREFUSED';
      if (ended() || !notYet) throw await startError(start, error);
    }
    await delay(pollMs);
  }
  throw await startError(start, undefined);
}

/** Answers a function that tells whether QEMU, or what should have become QEMU, has ended. */
async function spawnDetached(start: QemuStart): Promise<() => boolean> {
  const log = await open(join(start.dir, vmFiles.log), 'w', 0o600);
  try {
    const child = spawn('setsid', wrapper(start), {
      cwd: start.dir,
      env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' },
      // The last one is held by QEMU for as long as it lives and carries nothing.
      stdio: ['ignore', log.fd, log.fd, 'pipe'],
    });
    let ended = false;
    const life = child.stdio[3];
    if (!(life instanceof Socket)) throw new Error('node made no pipe for the VMM to hold');
    life.on('close', () => {
      ended = true;
    });
    life.on('error', () => undefined);
    life.resume();
    life.unref();
    child.on('error', () => {
      ended = true;
    });
    child.unref();
    return () => ended;
  } finally {
    await log.close();
  }
}

function wrapper(start: QemuStart): string[] {
  return [
    // A session of its own, and init as its parent: metald may end without it.
    '--fork',
    // Whatever it becomes, it can never gain a privilege by exec.
    ...['setpriv', '--no-new-privs'],
    ...['nsenter', `--net=/run/netns/${start.netns}`],
    // A write beyond the limit then fails (the log's rest is dropped) and does not end the VM.
    ...['env', '--ignore-signal=XFSZ'],
    ...['prlimit', `--fsize=${start.maxFileBytes}`, '--core=0'],
    ...[start.program, ...start.args],
  ];
}

async function startError(start: QemuStart, cause: unknown): Promise<IngotError> {
  const said = await readFile(join(start.dir, vmFiles.log), 'utf8').catch(() => '');
  const log = said.trim().split('\n').slice(-10);
  return new IngotError(
    'boot_failed',
    `the VMM did not start: ${log.at(-1) ?? 'it said nothing'}`,
    {
      remedy: 'run "ingot doctor" on this host',
      log,
      cause,
    },
  );
}
