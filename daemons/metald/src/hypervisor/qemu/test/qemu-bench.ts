import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runCommand, systemClock } from '@ingot/daemon-kit';
import type { AppBehaviour, HypervisorBench } from '../../conformance.ts';
import type { VmmSpec } from '../../hypervisor.ts';
import { QemuHypervisor } from '../qemu-hypervisor.ts';

const guestDir = join(import.meta.dirname, '../../../../../../.cache/guest');
const argsOf: Record<AppBehaviour, readonly string[]> = {
  serves: ['guest-app', 'serve'],
  exits: ['guest-app', 'exit', '3'],
  'is-missing': ['no-such-program'],
  'has-no-rootfs': ['guest-app'],
};

export interface QemuBench extends HypervisorBench {
  /** A VM that runs the test app with these arguments. */
  makeAppSpec(app: Partial<VmmSpec['app']>): Promise<VmmSpec>;
}

/** Real QEMU with a network namespace, an image and directories of its own. Needs root. */
export async function makeQemuBench(): Promise<QemuBench> {
  const dir = await mkdtemp(join(tmpdir(), 'ingot-qemu-'));
  const netns = `ingot-test-${randomUUID().slice(0, 8)}`;
  const rootfsPath = await makeRootfs(dir);
  await makeNetwork(netns);
  const make = (): QemuHypervisor =>
    new QemuHypervisor(
      {
        program: 'qemu-system-x86_64',
        stateDir: join(dir, 'state'),
        probeKernelPath: join(guestDir, 'vmlinux'),
        probeInitrdPath: join(guestDir, 'initrd'),
        tscProgram: join(guestDir, 'tsc-khz'),
        accelerator: 'auto',
        consoleMaxBytes: 1024 * 1024,
      },
      systemClock,
    );
  const makeAppSpec = async (app: Partial<VmmSpec['app']>): Promise<VmmSpec> => {
    const vmId = randomUUID();
    // Longer than the path of a Unix socket may be.
    const vmDir = join(dir, 'a-data-directory-with-a-long-name-'.repeat(3), vmId);
    await mkdir(vmDir, { recursive: true });
    return {
      vmId,
      dir: vmDir,
      vcpus: 1,
      memoryMib: 128,
      kernelPath: join(guestDir, 'vmlinux'),
      initrdPath: join(guestDir, 'initrd'),
      rootfsPath,
      diskMib: 64,
      network: {
        netns,
        tap: 'tap0',
        guestMac: '06:00:ac:1e:00:02',
        guestAddress: '172.30.0.2',
        guestPrefixLength: 30,
        gateway: '172.30.0.1',
        nameservers: ['192.0.2.53'],
      },
      uid: 300_777,
      hostname: 'shop',
      app: { args: ['guest-app'], env: [], workingDir: '', user: '', ...app },
    };
  };
  return {
    hypervisor: make(),
    restarted: make,
    makeAppSpec,
    makeSpec: async (behaviour) => {
      const spec = await makeAppSpec({ args: argsOf[behaviour] });
      return behaviour === 'has-no-rootfs' ? { ...spec, rootfsPath: join(dir, 'nowhere') } : spec;
    },
    close: async () => {
      await ip('netns', 'delete', netns);
      await rm(dir, { recursive: true, force: true });
    },
  };
}

async function makeNetwork(netns: string): Promise<void> {
  await ip('netns', 'add', netns);
  await ip('-n', netns, 'tuntap', 'add', 'tap0', 'mode', 'tap');
  await ip('-n', netns, 'addr', 'add', '172.30.0.1/30', 'dev', 'tap0');
  await ip('-n', netns, 'link', 'set', 'tap0', 'up');
}

async function ip(...args: string[]): Promise<void> {
  await runCommand('ip', args, { timeoutMs: 10_000 });
}

async function makeRootfs(dir: string): Promise<string> {
  const root = join(dir, 'root');
  const image = join(dir, 'rootfs');
  await mkdir(join(root, 'bin'), { recursive: true });
  await mkdir(join(root, 'etc'));
  await writeFile(
    join(root, 'etc/passwd'),
    'root:x:0:0::/root:/bin/sh\nweb:x:101:102::/home/web:/bin/sh\n',
  );
  await writeFile(
    join(root, 'etc/group'),
    'web:x:102:\nmedia:x:200:other,web\nwheel:x:201:other\n',
  );
  await writeFile(join(root, 'bin/data'), 'no program', { mode: 0o755 });
  const source = join(import.meta.dirname, 'guest-app.c');
  const compile = [
    '-static',
    '-Os',
    '-Wall',
    '-Wextra',
    '-Werror',
    '-o',
    join(root, 'bin/guest-app'),
  ];
  await runCommand('musl-gcc', [...compile, source], { timeoutMs: 60_000 });
  await runCommand('mksquashfs', [root, image, '-quiet', '-no-progress', '-all-root'], {
    timeoutMs: 60_000,
  });
  return image;
}
