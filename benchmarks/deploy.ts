// From deploy to the first 200: cold (image not built) and with the image already built, against a
// bare shell script that starts the same VMM, kernel and root file system by hand. Rounds alternate,
// so that a change of the machine's speed meets both.
import { execFileSync } from 'node:child_process';
import { copyFileSync, linkSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { metal } from '@ingot/contracts';
import { createRpcClient, loadIdentity } from '@ingot/daemon-kit';
import { startRegistry } from '@ingot/testkit';
import { vmmPid } from '../tests/system/host-traces.ts';
import { publish, staticImage } from '../tests/system/images.ts';
import { Instance } from '../tests/system/instance.ts';
import type { BenchmarkResult } from './run.ts';

const rounds = 5;

/** @returns the median of deploys with the image built, in ms, as a ratio to the bare script's. */
export async function run(): Promise<BenchmarkResult> {
  const instance = await Instance.start();
  const registry = await startRegistry({ dir: join(instance.dataDir, 'bench-registry') });
  const figures: Record<'cold' | 'built' | 'command' | 'bare', number[]> = {
    cold: [],
    built: [],
    command: [],
    bare: [],
  };
  try {
    const image = await publish(registry, 'bench', await staticImage());
    await instance.deploy('reference', image);
    const bare = await bareInputs(instance);
    await instance.ingot('rm', 'reference');
    for (let round = 1; round <= rounds; round++) {
      const fresh = await publish(registry, `fresh-${round}`, await staticImage(`${round}`));
      figures.cold.push(await timeDeploy(instance, fresh));
      figures.built.push(await timeDeploy(instance, image));
      figures.bare.push(bareBoot(bare));
      figures.command.push(await timeCommand(instance, image));
      const last = Object.entries(figures).map(([name, ms]) => `${name} ${ms.at(-1)?.toFixed(0)}`);
      process.stdout.write(`round ${round}: ${last.join(', ')} ms\n`);
    }
  } finally {
    await registry.stop();
    await instance.down();
    instance.removeData();
  }
  const [cold, built, command, byHand] = [
    median(figures.cold),
    median(figures.built),
    median(figures.command),
    median(figures.bare),
  ];
  const against = (ms: number): string => `${ms.toFixed(0)} ms, ${(ms / byHand).toFixed(2)} × bare`;
  process.stdout.write(
    `medians of ${rounds}: bare script ${byHand.toFixed(0)} ms; image built ${against(built)}; ` +
      `the same as a command, with the start of its process, ${against(command)}; cold ${against(cold)}\n`,
  );
  return {
    name: 'deploy',
    value: Math.round(built),
    unit: 'ms',
    ratio: Number((built / byHand).toFixed(3)),
    against: 'a shell script that starts the same VMM, kernel and rootfs by hand',
  };
}

/** Milliseconds from the call of Deploy to the first 200 through the gateway. */
async function timeDeploy(instance: Instance, image: string): Promise<number> {
  const started = performance.now();
  for await (const event of instance.deployments().deploy({ spec: { name: 'timed', image } })) {
    if (event.event.case === 'failed') throw new Error(event.event.value.failure?.message);
  }
  const { status } = await instance.fetch('timed');
  const ms = performance.now() - started;
  if (status !== 200) throw new Error(`the deployment answered ${status}`);
  await instance.ingot('rm', 'timed');
  return ms;
}

async function timeCommand(instance: Instance, image: string): Promise<number> {
  const started = performance.now();
  await instance.ingot('deploy', '--name', 'timed', '--image', image);
  const { status } = await instance.fetch('timed');
  const ms = performance.now() - started;
  if (status !== 200) throw new Error(`the deployment answered ${status}`);
  await instance.ingot('rm', 'timed');
  return ms;
}

interface BareInputs {
  directory: string;
  port: number;
  env: Record<string, string>;
}

/** Copies what the running reference VM was started from, and reads how. */
async function bareInputs(instance: Instance): Promise<BareInputs> {
  const { vmId } = await instance.deployments().get({ name: 'reference' });
  const vms = createRpcClient(metal.VmService, {
    url: instance.env['INGOT_GATEWAYD_METALD_URL'] ?? '',
    identity: await loadIdentity(join(instance.dataDir, 'pki'), 'gatewayd'),
    expect: 'metald',
  });
  const { spec } = await vms.getVm({ vmId });
  const directory = join(instance.dataDir, 'bare');
  mkdirSync(directory);
  for (const name of ['vmlinux', 'initrd', 'rootfs']) {
    linkSync(join(instance.dataDir, 'staging', vmId, name), join(directory, name));
  }
  copyFileSync(
    join(instance.dataDir, 'metald/vms', vmId, 'mailbox.img'),
    join(directory, 'mailbox.img'),
  );
  const args = readFileSync(`/proc/${vmmPid(vmId)}/cmdline`, 'utf8').split('\0');
  const after = (flag: string): string => args[args.indexOf(flag) + 1] ?? '';
  return {
    directory,
    port: spec?.app?.port ?? 0,
    env: {
      PATH: process.env['PATH'] ?? '',
      GUEST_MAC: /mac=([0-9a-f:]+)/.exec(args.join('\n'))?.[1] ?? '',
      ACCELERATOR: after('-accel'),
      CPU: after('-cpu'),
      KERNEL_COMMAND_LINE: after('-append'),
      MEMORY_MIB: String(spec?.memoryMib),
      DISK_MIB: String(spec?.diskMib),
    },
  };
}

function bareBoot({ directory, port, env }: BareInputs): number {
  const script = join(import.meta.dirname, 'bare-boot.sh');
  const printed = execFileSync(script, [directory, String(port)], { env, encoding: 'utf8' });
  rmSync(join(directory, 'bare-overlay.img'), { force: true });
  return Number(printed);
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}
