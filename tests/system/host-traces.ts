import { spawnSync } from 'node:child_process';
import { globSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** What Ingot could leave on a host, as sorted lines, so that before and after can be compared. */
export interface HostTraces {
  namespaces: string[];
  links: string[];
  tables: string[];
  mounts: string[];
}

function lines(command: string, args: string[]): string[] {
  const { stdout } = spawnSync(command, args, { encoding: 'utf8' });
  return (stdout ?? '').split('\n').filter(Boolean).toSorted();
}

/** Looks at the whole host. */
export function hostTraces(): HostTraces {
  return {
    namespaces: lines('ip', ['netns', 'list']),
    links: lines('ip', ['-brief', 'link']).map((line) => line.split(/\s+/)[0] ?? ''),
    tables: lines('nft', ['list', 'tables']),
    mounts: readFileSync('/proc/mounts', 'utf8').split('\n').filter(Boolean).toSorted(),
  };
}

/** Processes that run from, or hold a file open in, the directory: "pid command". */
export function processesIn(directory: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) => commandOf(pid).includes(directory) || openFiles(pid, directory).length > 0)
    .map((pid) => `${pid} ${commandOf(pid)}`);
}

function openFiles(pid: string, directory: string): string[] {
  return globSync(`/proc/${pid}/fd/*`).filter((link) => {
    try {
      return readlinkSync(link).startsWith(directory);
    } catch {
      return false;
    }
  });
}

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
  } catch {
    return '';
  }
}

/** The VMM process of a VM. */
export function vmmPid(vmId: string): number {
  const found = readdirSync('/proc').find(
    (pid) => /^\d+$/.test(pid) && /^\S*qemu/.test(commandOf(pid)) && commandOf(pid).includes(vmId),
  );
  if (found === undefined) throw new Error(`no VMM runs ${vmId}`);
  return Number(found);
}

/** CPU time a process has used, user and system, in nanoseconds: fields 14 and 15 of its stat. */
export function cpuNsOf(pid: number): bigint {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (BigInt(fields[11] ?? 0) + BigInt(fields[12] ?? 0)) * 10_000_000n;
}
