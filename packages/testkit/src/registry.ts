import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** The one account a registry started with `auth: true` knows. */
export const registryCredentials = { username: 'ingot', password: 'testkit-password' } as const;

// bcrypt of the password above, as `htpasswd -B` writes it; a constant spares the tool.
const htpasswdLine = 'ingot:$2y$05$ingotingotingotingotiOEKHdOha5u1jWdxWvm/BfiJ/aJ1/nD4W\n';
const startTimeoutMs = 20_000;

export interface RunningRegistry {
  /** `127.0.0.1:<port>`: the registry part of an image reference. */
  readonly host: string;
  /** `http://127.0.0.1:<port>`. */
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** Where the registry keeps a blob's bytes, to damage or remove them. */
  blobPath(digest: string): string;
  /** Ends the process and waits for it; twice is fine. */
  stop(): Promise<void>;
}

/**
 * Starts Debian's `docker-registry` on loopback and resolves once it listens. It keeps what was
 * pushed in `dir`, so that starting it there again serves the same images.
 *
 * @throws Error with the registry's last words when it does not come up.
 */
export async function startRegistry(options: {
  readonly dir: string;
  /** A free one unless given. */
  readonly port?: number;
  /** Ask for `registryCredentials` by basic authentication. */
  readonly auth?: boolean;
}): Promise<RunningRegistry> {
  const { dir } = options;
  await mkdir(join(dir, 'storage'), { recursive: true });
  await writeFile(join(dir, 'htpasswd'), htpasswdLine);
  const configPath = join(dir, 'config.yml');
  await writeFile(configPath, JSON.stringify(registryConfig(options)));
  // It dies with this process, however that ends: nothing is left of a test that crashed.
  const command = ['--pdeathsig', 'KILL', 'docker-registry', 'serve', configPath];
  const child = spawn('setpriv', command, {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { PATH: process.env['PATH'] },
  });
  const exited = once(child, 'close');
  exited.catch(() => {}); // a failed spawn is reported below
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
    await exited.catch(() => {});
  };
  try {
    const port = await listeningPort(child.stderr);
    const host = `127.0.0.1:${port}`;
    return {
      host,
      url: `http://${host}`,
      port,
      pid: child.pid ?? 0,
      blobPath: (digest) => blobPath(dir, digest),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

function registryConfig(options: { dir: string; port?: number; auth?: boolean }): unknown {
  return {
    version: 0.1,
    log: { level: 'info', accesslog: { disabled: true } },
    storage: {
      filesystem: { rootdirectory: join(options.dir, 'storage') },
      delete: { enabled: true },
    },
    http: { addr: `127.0.0.1:${options.port ?? 0}`, secret: 'one-process-only' },
    ...(options.auth && {
      auth: { htpasswd: { realm: 'testkit', path: join(options.dir, 'htpasswd') } },
    }),
  };
}

/** Reads the port from the registry's log, and goes on draining it. */
function listeningPort(stderr: NodeJS.ReadableStream): Promise<number> {
  const lines = createInterface({ input: stderr });
  const last: string[] = [];
  return new Promise((resolve, reject) => {
    const fail = (why: string) => reject(new Error(`docker-registry ${why}: ${last.join('\n')}`));
    const timer = setTimeout(() => fail('did not listen in time'), startTimeoutMs);
    lines.on('line', (line) => {
      last.push(line);
      if (last.length > 10) last.shift();
      const port = /listening on [^ "]*:(\d+)/.exec(line)?.[1];
      if (port === undefined) return;
      clearTimeout(timer);
      resolve(Number(port));
    });
    lines.on('close', () => {
      clearTimeout(timer);
      fail('ended (is the Debian package docker-registry installed?)');
    });
  });
}

function blobPath(dir: string, digest: string): string {
  const hex = digest.replace('sha256:', '');
  return join(dir, 'storage/docker/registry/v2/blobs/sha256', hex.slice(0, 2), hex, 'data');
}
