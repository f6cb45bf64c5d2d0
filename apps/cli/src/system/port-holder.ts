import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { errnoOf, IngotError, parseListen } from '@ingot/daemon-kit/client';

/** @throws IngotError port_taken, naming who holds the port where /proc tells, or config_invalid. */
export async function requireFree(listen: string, user: string, setting: string): Promise<void> {
  const { host, port } = parseListen(listen);
  const server = createServer();
  const failure = await new Promise<Error | undefined>((resolve) => {
    server.once('error', resolve);
    server.listen(port, host, () => server.close(() => resolve(undefined)));
  });
  if (failure === undefined) return;
  if (errnoOf(failure) === 'EADDRINUSE') {
    const holder = portHolder(port);
    throw new IngotError(
      'port_taken',
      `port ${port}, which ${user} needs, is taken${holder ? ` by ${holder}` : ''}`,
      { remedy: `stop that, or choose another port: ${setting}`, cause: failure },
    );
  }
  throw new IngotError('config_invalid', `${user} cannot listen on ${listen}: ${failure.message}`, {
    remedy: `choose an address of this host: ${setting}`,
    cause: failure,
  });
}

/** "nginx (process 123)" for the process that listens on a TCP port; undefined when /proc hides it. */
export function portHolder(port: number): string | undefined {
  const sockets = listeningSockets(port);
  if (sockets.size === 0) return undefined;
  for (const pid of list('/proc').filter((name) => /^\d+$/.test(name))) {
    const found = list(`/proc/${pid}/fd`).some((fd) => sockets.has(link(`/proc/${pid}/fd/${fd}`)));
    if (found) return `${commandName(pid)} (process ${pid})`;
  }
  return undefined;
}

/** "socket:[inode]" of every TCP socket that listens on the port in this network namespace. */
function listeningSockets(port: number): Set<string> {
  const listening = '0A';
  const hexPort = port.toString(16).toUpperCase().padStart(4, '0');
  const found = new Set<string>();
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6']) {
    for (const line of read(table).split('\n').slice(1)) {
      const fields = line.trim().split(/\s+/);
      if (fields[1]?.endsWith(`:${hexPort}`) && fields[3] === listening) {
        found.add(`socket:[${fields[9] ?? ''}]`);
      }
    }
  }
  return found;
}

function commandName(pid: string): string {
  return read(`/proc/${pid}/comm`).trim() || 'a process';
}

function list(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch {
    return [];
  }
}

function link(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
