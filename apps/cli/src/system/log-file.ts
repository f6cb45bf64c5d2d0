import { closeSync, mkdirSync, openSync, readSync, renameSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** A log bigger than this becomes NAME.log.1 when its process starts. */
const rotateBytes = 16 * 1024 * 1024;
const tailBytes = 64 * 1024;

export function logPath(dataDir: string, name: string): string {
  return join(dataDir, 'logs', `${name}.log`);
}

/** Opens a log for appending, a big one set aside first. `from` is where the new lines begin. */
export function openLog(path: string): { fd: number; from: number } {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  if (sizeOf(path) > rotateBytes) renameSync(path, `${path}.1`);
  return { fd: openSync(path, 'a', 0o640), from: sizeOf(path) };
}

/** The last lines written from an offset on; JSON lines of our daemons as "level message". */
export function readTail(path: string, from: number, count: number): string[] {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch {
    return [];
  }
  try {
    const start = Math.max(from, sizeOf(path) - tailBytes);
    const buffer = Buffer.alloc(tailBytes);
    const length = readSync(fd, buffer, 0, tailBytes, start);
    const lines = buffer.toString('utf8', 0, length).split('\n').filter(Boolean);
    return lines.slice(-count).map(readable);
  } finally {
    closeSync(fd);
  }
}

const levelNames: Readonly<Record<number, string>> = {
  10: 'trace',
  20: 'debug',
  30: 'info',
  40: 'warn',
  50: 'error',
  60: 'fatal',
};

/** A daemon's JSON line as "level: message → remedy"; any other line as it is. */
export function readable(line: string): string {
  try {
    const { level, msg, remedy } = JSON.parse(line) as Record<string, unknown>;
    if (typeof msg !== 'string') return line;
    const name = levelNames[Number(level)] ?? 'log';
    return `${name}: ${msg}${typeof remedy === 'string' && remedy ? ` → ${remedy}` : ''}`;
  } catch {
    return line;
  }
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
