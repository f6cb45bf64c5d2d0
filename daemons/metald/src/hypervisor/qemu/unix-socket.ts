import { open } from 'node:fs/promises';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { basename, dirname } from 'node:path';

/**
 * Connects to a Unix socket at a path of any length: the kernel takes 107 bytes, so the directory
 * is opened and named by its descriptor.
 *
 * @throws the system's error, such as ENOENT or ECONNREFUSED while nobody listens.
 */
export async function connectUnixSocket(path: string): Promise<Socket> {
  const dir = await open(dirname(path), 'r');
  try {
    return await new Promise((resolve, reject) => {
      const socket = connect({ path: `/proc/self/fd/${dir.fd}/${basename(path)}` });
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.off('error', reject);
        resolve(socket);
      });
    });
  } finally {
    await dir.close();
  }
}
