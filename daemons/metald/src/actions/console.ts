import { type FileHandle, open, stat } from 'node:fs/promises';
import { type Clock, errnoOf } from '@ingot/daemon-kit';

const chunkBytes = 64 * 1024;
const pollMs = 100;
/** A tail is looked for in this much of the end of a file. */
const tailWindowBytes = 256 * 1024;

/** The last lines of a console, oldest first; a line longer than 2000 characters is cut. */
export async function lastLines(path: string, count: number): Promise<string[]> {
  const file = await openIfThere(path);
  if (!file) return [];
  try {
    const { size } = await file.stat();
    const window = Math.min(size, tailWindowBytes);
    const bytes = await readAt(file, size - window, window);
    const lines = bytes.toString('utf8').trimEnd().split('\n');
    return lines
      .slice(-count)
      .map((line) => line.trimEnd().slice(0, 2000))
      .filter((line, index) => index > 0 || line !== '');
  } finally {
    await file.close();
  }
}

export interface ConsoleReading {
  path: string;
  /** Start with at most this many last lines; 0 starts at the beginning. */
  tailLines: number;
  /** Stay until `isOver` or the signal. */
  follow: boolean;
  /** Asked whenever everything has been read: whether nothing more can come. */
  isOver: () => Promise<boolean>;
  clock: Clock;
  signal: AbortSignal;
}

/**
 * The bytes of a console in chunks of at most 64 KiB, read only as fast as they are taken. Goes on
 * at the start of the file when it was truncated or replaced.
 */
export async function* readConsole(reading: ConsoleReading): AsyncGenerator<Buffer> {
  const { path, follow, isOver, clock, signal } = reading;
  let file = await openIfThere(path);
  try {
    let position = file ? await tailStart(file, reading.tailLines) : 0;
    while (!signal.aborted) {
      // Asked before the read: what was written before the end is still read.
      const over = !follow || (await isOver());
      const chunk = file ? await readAt(file, position, chunkBytes) : Buffer.alloc(0);
      position += chunk.length;
      if (chunk.length > 0) {
        yield chunk;
        continue;
      }
      if (over) return;
      await clock.sleep(pollMs, signal).catch(() => undefined);
      if (!file || (await wasReplaced(file, path))) {
        const newer: FileHandle | undefined = await openIfThere(path);
        if (newer) {
          await file?.close();
          file = newer;
          position = 0;
        }
      } else if ((await file.stat()).size < position) {
        position = 0;
      }
    }
  } finally {
    await file?.close();
  }
}

async function openIfThere(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, 'r');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

async function readAt(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const { bytesRead, buffer } = await file.read(Buffer.alloc(length), 0, length, position);
  return buffer.subarray(0, bytesRead);
}

/** Whether the path names another file by now; one that is only gone does not count. */
async function wasReplaced(file: FileHandle, path: string): Promise<boolean> {
  const [ours, theirs] = await Promise.all([file.stat(), stat(path).catch(() => undefined)]);
  return theirs !== undefined && theirs.ino !== ours.ino;
}

/** Where the last `lines` lines of the file begin, searched backwards. */
async function tailStart(file: FileHandle, lines: number): Promise<number> {
  if (lines === 0) return 0;
  const { size } = await file.stat();
  let found = 0;
  for (let end = size; end > 0;) {
    const start = Math.max(0, end - chunkBytes);
    const bytes = await readAt(file, start, end - start);
    for (let index = bytes.length - 1; index >= 0; index--) {
      // The newline at the very end belongs to the last line.
      if (bytes[index] !== 0x0a || start + index === size - 1) continue;
      found += 1;
      if (found === lines) return start + index + 1;
    }
    end = start;
  }
  return 0;
}
