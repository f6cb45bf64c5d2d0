import { copyFile, open, rename, stat } from 'node:fs/promises';
import { setInterval as everySoOften } from 'node:timers';

const checkEveryMs = 1_000;

/**
 * Keeps a console file below a bound while its VM runs. QEMU holds it open for appending, so it
 * cannot be renamed away: it is copied to `PATH.1`, replacing that, and truncated. What the guest
 * writes between the two is lost; the guest is never held up. While nobody looks (metald is down)
 * the VMM's own file size limit is the bound.
 *
 * @returns a function that ends the watch.
 */
export function boundConsole(path: string, maxBytes: number): () => void {
  let busy = false;
  const timer = everySoOften(() => {
    if (busy) return;
    busy = true;
    // A full disk must not end metald: it is tried again in a second.
    void rotate(path, maxBytes)
      .catch(() => undefined)
      .finally(() => {
        busy = false;
      });
  }, checkEveryMs);
  timer.unref();
  return () => clearInterval(timer);
}

/** Copies and truncates the console file when it is larger than `maxBytes`. */
export async function rotate(path: string, maxBytes: number): Promise<void> {
  const { size } = await stat(path);
  if (size <= maxBytes) return;
  await copyFile(path, `${path}.tmp`);
  await rename(`${path}.tmp`, `${path}.1`);
  const file = await open(path, 'r+');
  try {
    await file.truncate(0);
  } finally {
    await file.close();
  }
}
