import { access, constants } from 'node:fs/promises';
import type { Readiness } from '@ingot/daemon-kit';

const tools = [
  { path: '/usr/bin/bwrap', debianPackage: 'bubblewrap' },
  { path: '/usr/bin/tar2sqfs', debianPackage: 'squashfs-tools-ng' },
  { path: '/usr/bin/prlimit', debianPackage: 'util-linux' },
  { path: '/usr/bin/setpriv', debianPackage: 'util-linux' },
];

/** Whether the programs that write a root file system are installed. */
export async function checkTools(): Promise<Readiness> {
  const reasons: string[] = [];
  for (const { path, debianPackage } of tools) {
    const there = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (!there) reasons.push(`${path} is missing: install the Debian package ${debianPackage}`);
  }
  return { ready: reasons.length === 0, reasons };
}
