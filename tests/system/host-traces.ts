import { spawnSync } from 'node:child_process';
import { globSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** What an installation has on the host, as sorted lines. */
export interface HostTraces {
  namespaces: string[];
  links: string[];
  tables: string[];
  mounts: string[];
  routes: string[];
}

/** The traces of a host on which an installation never was. */
export const noTraces: HostTraces = {
  namespaces: [],
  links: [],
  tables: [],
  mounts: [],
  routes: [],
};

function lines(command: string, args: string[]): string[] {
  const { stdout } = spawnSync(command, args, { encoding: 'utf8' });
  return (stdout ?? '').split('\n').filter(Boolean).toSorted();
}

/**
 * What one installation has on the host now.
 *
 * @param hostId - metald's id of this host; its first six digits mark every name it makes.
 */
export function hostTraces(hostId: string): HostTraces {
  const mark = hostId.slice(0, 6);
  const marked = (line: string): boolean => line.includes(mark);
  return {
    namespaces: lines('ip', ['netns', 'list']).filter(marked),
    links: lines('ip', ['-brief', 'link']).filter(marked),
    tables: lines('nft', ['list', 'tables']).filter(marked),
    mounts: readFileSync('/proc/mounts', 'utf8').split('\n').filter(marked).toSorted(),
    routes: lines('ip', ['route', 'show', 'table', 'all']).filter(marked),
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
