import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';

/** A process told apart from a later one with the same pid by when it started. */
export interface ProcessIdentity {
  pid: number;
  startTimeTicks: number;
}

/** When the process started, in clock ticks since the host's boot; undefined when it is gone or a zombie. */
export async function readStartTime(pid: number): Promise<number | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'latin1');
    // The second field is the program's name in parentheses and may itself hold spaces and parentheses.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (fields[0] === 'Z' || fields[0] === 'X') return undefined;
    return Number(fields[19]);
  } catch {
    return undefined;
  }
}

/** The arguments the process was started with; empty when it is gone. */
export async function readCommandLine(pid: number): Promise<string[]> {
  try {
    return (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0');
  } catch {
    return [];
  }
}

/** A process with this argument, of all on the host; undefined when there is none. */
export async function findByArgument(argument: string): Promise<ProcessIdentity | undefined> {
  for (const name of await readdir('/proc')) {
    const pid = Number(name);
    if (!Number.isSafeInteger(pid) || !(await readCommandLine(pid)).includes(argument)) continue;
    const startTimeTicks = await readStartTime(pid);
    if (startTimeTicks !== undefined) return { pid, startTimeTicks };
  }
  return undefined;
}

export async function isAlive(identity: ProcessIdentity): Promise<boolean> {
  return (await readStartTime(identity.pid)) === identity.startTimeTicks;
}

/** Ends the process with SIGKILL; nothing happens when it is gone. */
export async function killProcess(identity: ProcessIdentity): Promise<void> {
  if (!(await isAlive(identity))) return;
  try {
    process.kill(identity.pid, 'SIGKILL');
  } catch {
    // It ended between the look and the signal.
  }
}

/** Waits until the process is gone. */
export async function waitUntilGone(identity: ProcessIdentity): Promise<void> {
  while (await isAlive(identity)) await delay(5);
}
