import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statfsSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { type ErrorReason, IngotError, messageOf } from '@ingot/daemon-kit/client';
import type { CommandContext } from '../command.ts';
import { findProgram, programs } from './programs.ts';

/** One line of `ingot doctor`. */
export interface Check {
  readonly name: string;
  readonly status: 'ok' | 'warn' | 'fail';
  readonly detail: string;
  /** Empty for "ok". */
  readonly remedy: string;
  /** For a failing one. */
  readonly reason?: ErrorReason;
}

const gib = 1024 ** 3;
const minFreeBytes = gib;
const comfortableFreeBytes = 5 * gib;
export const ok = (name: string, detail: string): Check => ({
  name,
  status: 'ok',
  detail,
  remedy: '',
});

/** What must hold before anything can be started, most telling first. */
export function hostChecks(context: CommandContext): Check[] {
  return [
    checkRoot(context),
    ...checkPrograms(context),
    checkTun(),
    checkDisk(context.settings.dataDir),
    checkGuest(context.repoDir),
  ];
}

/** @throws IngotError for the first check that fails. */
export function requireAll(checks: readonly Check[]): void {
  const failed = checks.find(({ status }) => status === 'fail');
  if (failed) {
    throw new IngotError(failed.reason ?? 'internal', failed.detail, { remedy: failed.remedy });
  }
}

/**
 * Makes the data directory when it is not there, closed to other users.
 *
 * @throws IngotError config_invalid when it cannot be one: a file, or on a read-only file system.
 */
export function requireDataDir(dataDir: string): void {
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    readdirSync(dataDir);
    accessSync(dataDir, constants.W_OK);
  } catch (cause) {
    throw new IngotError(
      'config_invalid',
      `${dataDir} cannot be the data directory: ${messageOf(cause)}`,
      {
        remedy: 'name a directory that can be written to with --data-dir or INGOT_DATA_DIR',
        cause,
      },
    );
  }
}

function checkRoot({ isRoot }: CommandContext): Check {
  if (isRoot) return ok('root', 'runs as root');
  return {
    name: 'root',
    status: 'fail',
    detail: 'this is not root, and microVMs need network namespaces and mounts',
    remedy: 'run it as root (sudo)',
    reason: 'not_root',
  };
}

function checkPrograms({ env }: CommandContext): Check[] {
  return programs.map((program) => {
    const name = `program ${program.name}`;
    const found = findProgram(program.name, env['PATH']);
    if (found !== undefined) return ok(name, found);
    return {
      name,
      status: 'fail',
      detail: `${program.name} is not installed; ${program.usedFor} needs it`,
      remedy: `run scripts/setup as root, or: apt-get install ${program.package}`,
      reason: 'missing_program',
    };
  });
}

function checkTun(): Check {
  try {
    accessSync('/dev/net/tun', constants.R_OK | constants.W_OK);
    return ok('/dev/net/tun', 'usable');
  } catch {
    return {
      name: '/dev/net/tun',
      status: 'fail',
      detail: "/dev/net/tun cannot be used, and microVMs' networks need it",
      remedy: 'modprobe tun; in a container, pass the device in (--device /dev/net/tun)',
      reason: 'missing_program',
    };
  }
}

function checkDisk(dataDir: string): Check {
  const { bavail, bsize } = statfsSync(nearestExisting(dataDir));
  const free = bavail * bsize;
  const detail = `${(free / gib).toFixed(1)} GiB free for ${dataDir}`;
  if (free >= comfortableFreeBytes) return ok('disk', detail);
  const remedy = 'free some space, or put the data directory elsewhere with --data-dir';
  return free < minFreeBytes
    ? { name: 'disk', status: 'fail', detail: `only ${detail}`, remedy, reason: 'disk_full' }
    : { name: 'disk', status: 'warn', detail, remedy };
}

function checkGuest(repoDir: string): Check {
  const dir = join(repoDir, '.cache', 'guest');
  const missing = ['vmlinux', 'initrd', 'manifest.json'].filter(
    (file) => !existsSync(join(dir, file)),
  );
  if (missing.length === 0) return ok('guest', `kernel and initrd in ${dir}`);
  return {
    name: 'guest',
    status: 'fail',
    detail: `${missing.join(', ')} missing in ${dir}: no microVM can boot`,
    remedy: 'run scripts/setup',
    reason: 'asset_missing',
  };
}

/** What the host offers for running microVMs; metald's own probe has the last word. */
export function checkAcceleration(): Check {
  const slow = 'microVMs run in software emulation, several times slower';
  const remedy = 'use a host with VT-x or AMD-V (or nested virtualisation), and load kvm';
  const flags = /^flags\s*:.*\b(vmx|svm)\b/m.test(readFileSync('/proc/cpuinfo', 'utf8'));
  if (!flags) {
    return {
      name: 'virtualisation',
      status: 'warn',
      detail: `the processor offers none: ${slow}`,
      remedy,
    };
  }
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK);
    return ok('virtualisation', 'KVM is there; metald tries it when it starts');
  } catch {
    return {
      name: 'virtualisation',
      status: 'warn',
      detail: `/dev/kvm cannot be used: ${slow}`,
      remedy,
    };
  }
}

export function checkIpForward(): Check {
  const value = readFileSync('/proc/sys/net/ipv4/ip_forward', 'utf8').trim();
  if (value === '1') return ok('ip_forward', 'on');
  return {
    name: 'ip_forward',
    status: 'warn',
    detail: 'net.ipv4.ip_forward is off; metald turns it on, or microVMs cannot reach out',
    remedy: 'sysctl net.ipv4.ip_forward=1',
  };
}

function nearestExisting(path: string): string {
  return existsSync(path) || dirname(path) === path ? path : nearestExisting(dirname(path));
}
