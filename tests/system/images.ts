import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { buildImage, dir, file, type Image, pushImage, symlink, whiteout } from '@ingot/testkit';

const cache = join(import.meta.dirname, '../../.cache/test-images');

/** Where Debian's package sources of this host are listed. */
const sources = ['/etc/apt/sources.list.d/debian.sources', '/etc/apt/sources.list'];

const script = (lines: string): Buffer =>
  Buffer.from(`#!/bin/sh\nprintf 'Content-Type: text/plain\\r\\n\\r\\n'\n${lines}\n`);

/** What busybox's httpd answers under /cgi-bin, each from inside the microVM. */
const probes = {
  env: 'env',
  // User and group ids of the app, its working directory, its host name.
  who: 'id -u; id -g; readlink /proc/$PPID/cwd; hostname',
  // Keeps one CPU of the guest busy for about the seconds in the query.
  burn: 'end=$(($(date +%s) + QUERY_STRING)); while [ $(date +%s) -lt $end ]; do :; done; echo done',
  // Says whether a TCP connection to the address in the query ("host:port") can be made.
  reach: 'nc -w 3 ${QUERY_STRING%:*} ${QUERY_STRING#*:} -e /bin/date && echo open || echo closed',
  clock: 'date +%s',
  write:
    'echo written > /srv/file && cat /srv/file; touch /read-write && echo root writable; ' +
    'echo gone > /dev/null && echo null writable',
  log: 'echo "a line for the log" >/proc/$PPID/fd/2; echo logged',
};

/**
 * A static image of about 2 MB: busybox with an HTTP server and probes, as user 1000.
 *
 * @param mark - any text; another mark is another image.
 */
export function staticImage(mark = ''): Promise<Image> {
  const busybox = readFileSync('/bin/busybox');
  const tools = ['sh', 'httpd', 'env', 'id', 'date', 'nc', 'cat', 'readlink', 'hostname', 'touch'];
  return buildImage({
    layers: [
      [
        dir('bin'),
        file('bin/busybox', busybox, { mode: 0o755 }),
        ...tools.map((name) => symlink(`bin/${name}`, 'busybox')),
        dir('etc'),
        file(
          'etc/passwd',
          Buffer.from('root:x:0:0::/root:/bin/sh\nweb:x:1000:1001::/srv:/bin/sh\n'),
        ),
        file('etc/group', Buffer.from('root:x:0:\nweb:x:1001:\n')),
      ],
      [
        dir('srv', { uid: 1000, gid: 1001 }),
        dir('srv/www'),
        file('srv/mark', Buffer.from(mark)),
        file('srv/www/index.html', Buffer.from('hello from inside a microVM\n')),
        dir('srv/www/cgi-bin'),
        ...Object.entries(probes).map(([name, lines]) =>
          file(`srv/www/cgi-bin/${name}`, script(lines), { mode: 0o755 }),
        ),
      ],
    ],
    config: {
      Entrypoint: ['/bin/httpd', '-f', '-v'],
      Cmd: ['-p', '8000', '-h', '/srv/www'],
      Env: ['PATH=/bin', 'FROM_IMAGE=yes', 'COLOR=red'],
      WorkingDir: '/srv',
      User: 'web',
      ExposedPorts: { '8000/tcp': {} },
    },
  });
}

/** An image whose app says a line and exits with 3. */
export function failingImage(): Promise<Image> {
  return buildImage({
    layers: [
      [
        dir('bin'),
        file('bin/busybox', readFileSync('/bin/busybox'), { mode: 0o755 }),
        symlink('bin/sh', 'busybox'),
      ],
    ],
    config: {
      Cmd: ['/bin/sh', '-c', 'echo starting up; echo no database to be found >&2; exit 3'],
    },
  });
}

/** nginx on a root file system made of Debian packages, changed by a second layer. */
export async function debianImage(): Promise<Image> {
  return buildImage({
    layers: [
      debianRoot(),
      [
        whiteout('var/www/html/index.nginx-debian.html'),
        file('var/www/html/index.html', Buffer.from('nginx from Debian packages\n')),
        symlink('var/log/nginx/access.log', '/dev/stdout'),
        symlink('var/log/nginx/error.log', '/dev/stderr'),
      ],
    ],
    config: { Cmd: ['nginx', '-g', 'daemon off;'], ExposedPorts: { '80/tcp': {} } },
  });
}

function debianRoot(): Buffer {
  const tar = join(cache, 'nginx.tar');
  if (!existsSync(tar)) {
    mkdirSync(cache, { recursive: true });
    const leaveOut = ['doc', 'man', 'locale'].map(
      (name) => `--dpkgopt=path-exclude=/usr/share/${name}/*`,
    );
    const draft = `${tar}.${process.pid}.tar`;
    const from = sources.find((path) => existsSync(path)) ?? '-';
    const made = spawnSync(
      'mmdebstrap',
      [
        ...['--mode=root', '--variant=essential', '--include=nginx-light', ...leaveOut],
        ...['bookworm', draft, from],
      ],
      { encoding: 'utf8' },
    );
    if (made.status !== 0) throw new Error(`mmdebstrap: ${made.stderr}`);
    renameSync(draft, tar);
  }
  return readFileSync(tar);
}

/** Pushes an image as `name:1` and says how to name it in a deploy. */
export async function publish(registry: { url: string; host: string }, name: string, image: Image) {
  await pushImage({ registry: registry.url, repository: name, tag: '1' }, image);
  return `${registry.host}/${name}:1`;
}
