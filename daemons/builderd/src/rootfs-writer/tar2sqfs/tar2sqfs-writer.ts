import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { chown, open } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { errnoOf, IngotError } from '@ingot/daemon-kit';
import type { Rootfs, RootfsWriter } from '../rootfs-writer.ts';
import { sandboxArguments, type SandboxOptions } from './sandbox.ts';

export interface Tar2sqfsOptions {
  /** Whether this process is root; then the writer gives its rights up to `sandboxUid`. */
  readonly isRoot: boolean;
  readonly sandboxUid: number;
  readonly timeoutMs: number;
  /** No file it writes can grow beyond this. */
  readonly maxBytes: number;
}

const outputName = 'rootfs.squashfs';
const maxStderrBytes = 64 * 1024;
/**
 * zstd: an emulated guest read 172 MB of files in 6.8 s, against 3.6 to 5.3 s with lz4 and 19.5 s with
 * xz; but lz4 is 40 % larger, and unsquashfs 4.5 cannot read what tar2sqfs 1.2 writes with it. Level
 * 3 writes 370 MB/s on two cores; level 9 needs four times as long for 6 % less. Blocks of 128 KiB
 * keep small reads small. Times and owners come from the archive.
 */
const formatArguments = [
  '--compressor',
  'zstd',
  '--comp-extra',
  'level=3',
  '--block-size',
  '131072',
];

/** squashfs-tools-ng's tar2sqfs, alone in a sandbox with the archive on its standard input. */
export class Tar2sqfsWriter implements RootfsWriter {
  readonly #options: Tar2sqfsOptions;

  constructor(options: Tar2sqfsOptions) {
    this.#options = options;
  }

  async write(tar: AsyncIterable<Uint8Array>, dir: string, signal: AbortSignal): Promise<Rootfs> {
    const { isRoot, sandboxUid, timeoutMs, maxBytes } = this.#options;
    if (isRoot) await chown(dir, sandboxUid, sandboxUid);
    const sandbox: SandboxOptions = {
      outputDir: dir,
      uid: isRoot ? sandboxUid : undefined,
      cpuSeconds: Math.ceil(timeoutMs / 1000),
      maxBytes,
    };
    // --no-skip: a record it cannot read is an error, not a file less.
    const command = ['tar2sqfs', '--quiet', '--no-skip', ...formatArguments, `/out/${outputName}`];
    await runWith(tar, [...sandboxArguments(sandbox), ...command], { timeoutMs, signal });
    return takeOver(join(dir, outputName), isRoot);
  }
}

async function runWith(
  input: AsyncIterable<Uint8Array>,
  bwrapArguments: readonly string[],
  { timeoutMs, signal }: { timeoutMs: number; signal: AbortSignal },
): Promise<void> {
  signal.throwIfAborted();
  const child = spawn('bwrap', bwrapArguments, {
    stdio: ['pipe', 'ignore', 'pipe'],
    env: { PATH: '/usr/bin:/bin', LC_ALL: 'C' },
  });
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => {
    stderr = (stderr + chunk.toString('utf8')).slice(-maxStderrBytes);
  });
  const timeout = AbortSignal.timeout(timeoutMs);
  const stop = AbortSignal.any([signal, timeout]);
  const kill = (): boolean => child.kill('SIGKILL');
  stop.addEventListener('abort', kill);
  const exited = new Promise<number | string>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, killedBy) => resolve(code ?? killedBy ?? 'unknown'));
  });
  try {
    const [fed, ended] = await Promise.allSettled([
      pipeline(Readable.from(input, { objectMode: false }), child.stdin).catch((error: unknown) => {
        // EPIPE: it ended early and says why itself. Anything else is the archive's own failure.
        if (isPipeError(error)) return;
        kill();
        throw error;
      }),
      exited,
    ]);
    signal.throwIfAborted();
    if (ended.status === 'rejected') throw startFailure(ended.reason);
    if (timeout.aborted) {
      const message = `writing the root file system took longer than ${timeoutMs} ms`;
      throw new IngotError('deadline_exceeded', message, {
        remedy: "make the image smaller, or raise builderd's buildTimeoutMs",
      });
    }
    if (fed.status === 'rejected') throw fed.reason;
    if (ended.value !== 0) throw exitFailure(ended.value, stderr);
  } finally {
    stop.removeEventListener('abort', kill);
  }
}

/** Opens what the sandbox left, trusting nothing about it, and makes it ours. */
async function takeOver(path: string, isRoot: boolean): Promise<Rootfs> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    const found = await file.stat();
    if (!found.isFile() || found.nlink !== 1) {
      throw new IngotError('build_failed', 'the sandbox left something else than a file', {
        remedy: 'do not trust this image; report it to the operator',
      });
    }
    if (isRoot) await file.chown(0, 0);
    await file.chmod(0o400);
    const hash = createHash('sha256');
    for await (const chunk of file.createReadStream({ autoClose: false })) {
      hash.update(chunk as Buffer);
    }
    await file.sync();
    return { path, sha256: hash.digest('hex'), sizeBytes: found.size };
  } finally {
    await file.close();
  }
}

function isPipeError(error: unknown): boolean {
  return ['EPIPE', 'ECONNRESET', 'ERR_STREAM_PREMATURE_CLOSE'].includes(errnoOf(error) ?? '');
}

function startFailure(cause: unknown): IngotError {
  if (errnoOf(cause) === 'ENOENT') {
    return new IngotError('missing_program', 'bwrap is not installed', {
      remedy: 'install the Debian package bubblewrap, or run scripts/setup',
      cause,
    });
  }
  return new IngotError('build_failed', 'the sandbox cannot be started', { cause });
}

function exitFailure(code: number | string, stderr: string): IngotError {
  const log = stderr.trim().split('\n').slice(-10);
  if (/No space left on device/.test(stderr)) {
    return new IngotError('disk_full', 'the disk is full; the root file system was not written', {
      remedy: 'free space in the data directory, then deploy again',
      log,
    });
  }
  if (/tar2sqfs.*(?:No such file|not found)/i.test(stderr)) {
    return new IngotError('missing_program', 'tar2sqfs is not installed', {
      remedy: 'install the Debian package squashfs-tools-ng, or run scripts/setup',
      log,
    });
  }
  const message = `the root file system was not written: tar2sqfs ended with ${code}`;
  return new IngotError('build_failed', message, {
    remedy: 'the last lines of its output say why; a too low limit of builderd shows here too',
    log,
  });
}
