import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type RunningRegistry, startRegistry } from '@ingot/testkit';
import { type Daemon, type Instance, until } from '../system/instance.ts';
import type { Fault } from './plan.ts';

/** The registry that images come from, on the same port and with the same images each time. */
export class ChaosRegistry {
  readonly #dir: string;
  #running: RunningRegistry;

  private constructor(dir: string, running: RunningRegistry) {
    this.#dir = dir;
    this.#running = running;
  }

  static async start(dir: string): Promise<ChaosRegistry> {
    return new ChaosRegistry(dir, await startRegistry({ dir }));
  }

  get at(): RunningRegistry {
    return this.#running;
  }

  async awayFor(ms: number): Promise<void> {
    await this.#running.stop();
    await delay(ms);
    this.#running = await startRegistry({ dir: this.#dir, port: this.#running.port });
  }
}

export interface Injected {
  /** False when there was nothing to hit at that moment, such as no VMM. */
  hit: boolean;
  /** VMs whose VMM was killed. */
  killedVms: string[];
}

const noVm: Injected = { hit: true, killedVms: [] };
const missed: Injected = { hit: false, killedVms: [] };

/** Does the fault and mends what does not mend itself: thaws, starts the registry, runs `up` again. */
export async function inject(
  fault: Fault,
  instance: Instance,
  registry: ChaosRegistry,
): Promise<Injected> {
  switch (fault.kind) {
    case 'kill':
      return killAll([fault.daemon], instance);
    case 'kill-two':
      return killAll(fault.daemons, instance);
    case 'freeze':
      return freeze(instance.pidOf(fault.daemon), fault.forMs);
    case 'registry-down':
      await registry.awayFor(fault.forMs);
      return noVm;
    case 'kill-store': {
      const [child] = processes((line) => line.includes('chdb-child') && isOf(line, instance));
      return { ...noVm, hit: child !== undefined && signal(child.pid, 'SIGKILL') };
    }
    case 'kill-vmm':
      return killVmm(instance);
    case 'kill-vmm-unseen':
      signal(instance.pidOf('metald'), 'SIGKILL');
      return killVmm(instance);
    case 'freeze-vmm':
      return freeze(vmms(instance).at(0)?.pid, fault.forMs);
    case 'kill-up': {
      const { pid } = JSON.parse(readFileSync(join(instance.dataDir, 'run/up.json'), 'utf8')) as {
        pid: number;
      };
      signal(pid, 'SIGKILL');
      await until('the end of `ingot up`', () => !processes(() => true).some((p) => p.pid === pid));
      await instance.up();
      return noVm;
    }
    default:
      return noVm;
  }
}

function killAll(victims: readonly Daemon[], instance: Instance): Injected {
  const hits = victims.map((daemon) => signal(instance.pidOf(daemon), 'SIGKILL'));
  return { ...noVm, hit: hits.includes(true) };
}

function killVmm(instance: Instance): Injected {
  const [vmm] = vmms(instance);
  if (!vmm || !signal(vmm.pid, 'SIGKILL')) return missed;
  return { hit: true, killedVms: [vmm.vmId] };
}

async function freeze(pid: number | undefined, ms: number): Promise<Injected> {
  if (pid === undefined || !signal(pid, 'SIGSTOP')) return missed;
  try {
    await delay(ms);
  } finally {
    signal(pid, 'SIGCONT');
  }
  return noVm;
}

function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, name);
  } catch {
    return false;
  }
}

/** The VMMs of the instance that run now. */
export function vmms(instance: Instance): { pid: number; vmId: string }[] {
  return processes((line) => line.startsWith('qemu') && isOf(line, instance)).map(
    ({ pid, line }) => ({ pid, vmId: /-name ingot-(\S+)/.exec(line)?.[1] ?? '' }),
  );
}

function isOf(line: string, instance: Instance): boolean {
  return line.includes(`${instance.dataDir}/`);
}

function processes(wanted: (line: string) => boolean): { pid: number; line: string }[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const line = readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ');
      return line !== '' && wanted(line) ? [{ pid: Number(name), line }] : [];
    } catch {
      return [];
    }
  });
}
