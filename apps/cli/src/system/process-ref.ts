import { readFileSync } from 'node:fs';
import type { Clock } from '@ingot/daemon-kit/client';
import { z } from 'zod';

/** One process for certain: a pid alone may be another's by the time one looks. */
export const processRefSchema = z.object({
  pid: z.number().int().positive(),
  /** Clock ticks from the machine's boot to the process's start, from /proc/PID/stat. */
  startTicks: z.number().int().nonnegative(),
  /** Which boot of the machine that was. */
  bootId: z.string(),
});
export type ProcessRef = z.infer<typeof processRefSchema>;

/** The process that has this pid now; undefined when none has, or it is dead and not yet reaped. */
export function processRef(pid: number): ProcessRef | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return undefined;
  }
  // The name, in parentheses, may hold anything; what follows it is fields 3 and up.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  if (fields[0] === 'Z' || fields[0] === 'X') return undefined;
  return { pid, startTicks: Number(fields[19]), bootId: bootId() };
}

export function isAlive(ref: ProcessRef): boolean {
  const now = processRef(ref.pid);
  return now?.startTicks === ref.startTicks && now.bootId === ref.bootId;
}

/** Asks a process to end and, after `graceMs`, makes it. Resolves once it is gone. */
export async function endProcess(ref: ProcessRef, clock: Clock, graceMs: number): Promise<void> {
  const deadline = clock.monotonicMs() + graceMs;
  if (!signal(ref, 'SIGTERM')) return;
  while (isAlive(ref)) {
    if (clock.monotonicMs() > deadline) signal(ref, 'SIGKILL');
    await clock.sleep(25);
  }
}

function signal(ref: ProcessRef, name: NodeJS.Signals): boolean {
  if (!isAlive(ref)) return false;
  try {
    return process.kill(ref.pid, name);
  } catch {
    return false;
  }
}

function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}
