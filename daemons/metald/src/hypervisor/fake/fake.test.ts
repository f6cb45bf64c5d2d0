import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { IngotError } from '@ingot/daemon-kit';
import { testHypervisor } from '../conformance.ts';
import type { AppBehaviour, HypervisorBench } from '../conformance.ts';
import { FakeHypervisor } from './fake-hypervisor.ts';
import type { FakeProcess } from './fake-hypervisor.ts';

testHypervisor('fake', async (): Promise<HypervisorBench> => {
  const dir = await mkdtemp(join(tmpdir(), 'ingot-fake-'));
  const hypervisor = new FakeHypervisor();
  const script: Record<AppBehaviour, (process: FakeProcess) => void> = {
    serves: (vmm) => {
      vmm.obeysWith = 7;
      vmm.print('ready\n');
    },
    exits: (vmm) => {
      vmm.print('bye\n');
      vmm.end({ appExitCode: 3 });
    },
    'is-missing': (vmm) => vmm.end({ appExitCode: 127, guestError: 'not found in PATH' }),
    'has-no-rootfs': () => undefined,
  };
  return {
    hypervisor,
    restarted: () => hypervisor,
    makeSpec: async (behaviour) => {
      hypervisor.onStart = script[behaviour];
      if (behaviour === 'has-no-rootfs') {
        hypervisor.failNextLaunch = new IngotError('boot_failed', 'no such file');
      }
      const vmId = randomUUID();
      await mkdir(join(dir, vmId));
      return {
        vmId,
        dir: join(dir, vmId),
        vcpus: 1,
        memoryMib: 128,
        kernelPath: '/vmlinux',
        initrdPath: '/initrd',
        rootfsPath: '/rootfs',
        diskMib: 64,
        network: {
          netns: 'none',
          tap: 'tap0',
          guestMac: '06:00:ac:1e:00:02',
          guestAddress: '172.30.0.2',
          guestPrefixLength: 30,
          gateway: '172.30.0.1',
          nameservers: [],
        },
        uid: 300_000,
        hostname: 'shop',
        app: { args: ['app'], env: [], workingDir: '', user: '' },
      };
    },
    close: () => rm(dir, { recursive: true, force: true }),
  };
});
