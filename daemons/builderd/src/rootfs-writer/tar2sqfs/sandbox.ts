export interface SandboxOptions {
  /** The only directory the program can write to; it sees it as /out. */
  readonly outputDir: string;
  /** Who the program runs as; undefined keeps this process's own, unprivileged user. */
  readonly uid: number | undefined;
  readonly cpuSeconds: number;
  readonly maxBytes: number;
}

const maxMemoryBytes = 4 * 1024 ** 3;

/**
 * Arguments for bubblewrap up to the program to run: namespaces of its own, no network, /usr
 * read-only and nothing else of the host, no rights, limits on memory, time, files and size.
 */
export function sandboxArguments(options: SandboxOptions): string[] {
  const { outputDir, uid, cpuSeconds, maxBytes } = options;
  const namespaces = ['--unshare-ipc', '--unshare-pid', '--unshare-net', '--unshare-uts'];
  const process = ['--die-with-parent', '--new-session', '--clearenv', '--cap-drop', 'ALL'];
  const environment = ['--setenv', 'PATH', '/usr/bin:/usr/sbin', '--setenv', 'LC_ALL', 'C.UTF-8'];
  const files = [
    ...['--ro-bind', '/usr', '/usr'],
    ...['--symlink', 'usr/bin', '/bin', '--symlink', 'usr/lib', '/lib'],
    ...['--symlink', 'usr/lib64', '/lib64'],
    ...['--bind', outputDir, '/out', '--chdir', '/'],
  ];
  const limits = [
    'prlimit',
    `--as=${maxMemoryBytes}`,
    `--cpu=${cpuSeconds}`,
    `--fsize=${maxBytes}`,
    '--nofile=64',
    '--core=0',
    '--',
  ];
  // As root, the mounts are made with its rights and given up before the program starts; otherwise
  // bubblewrap needs a user namespace to make them.
  const asUser =
    uid === undefined
      ? { bwrap: ['--unshare-user'], inside: [] }
      : {
          bwrap: ['CAP_SETUID', 'CAP_SETGID', 'CAP_SETPCAP'].flatMap((cap) => ['--cap-add', cap]),
          inside: [
            ...['setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups'],
            ...['--no-new-privs', '--inh-caps=-all', '--bounding-set=-all', '--'],
          ],
        };
  return [
    ...namespaces,
    ...process,
    ...asUser.bwrap,
    ...environment,
    ...files,
    '--',
    ...asUser.inside,
    ...limits,
  ];
}
