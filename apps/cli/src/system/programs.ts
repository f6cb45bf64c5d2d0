import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** A program Ingot runs and the Debian package it comes from. */
export interface Program {
  readonly name: string;
  readonly package: string;
  readonly usedFor: string;
}

export const programs: readonly Program[] = [
  { name: 'qemu-system-x86_64', package: 'qemu-system-x86', usedFor: 'running microVMs' },
  { name: 'ip', package: 'iproute2', usedFor: "the microVMs' networks" },
  { name: 'nft', package: 'nftables', usedFor: "the microVMs' networks" },
  { name: 'mke2fs', package: 'e2fsprogs', usedFor: "the microVMs' disks" },
  { name: 'bwrap', package: 'bubblewrap', usedFor: 'the sandbox of builds' },
  { name: 'tar2sqfs', package: 'squashfs-tools-ng', usedFor: 'root file systems' },
];

export const registryProgram: Program = {
  name: 'docker-registry',
  package: 'docker-registry',
  usedFor: 'the registry of the examples',
};

/** Where a program is, as a shell would find it; the system's folders count even if PATH lacks them. */
export function findProgram(name: string, path: string | undefined): string | undefined {
  const folders = [
    ...(path ?? '').split(delimiter).filter(Boolean),
    '/usr/sbin',
    '/usr/bin',
    '/sbin',
    '/bin',
  ];
  for (const folder of folders) {
    const file = join(folder, name);
    try {
      accessSync(file, constants.X_OK);
      return file;
    } catch {
      continue;
    }
  }
  return undefined;
}
