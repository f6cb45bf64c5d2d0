import { mkdir, readFile } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import type { Clock } from '@ingot/daemon-kit';
import { IngotError, runCommand } from '@ingot/daemon-kit';
import type {
  Hypervisor,
  HypervisorProbe,
  Vmm,
  VmmExit,
  VmmRecord,
  VmmSpec,
} from '../hypervisor.ts';
import { probeKvm } from './kvm-probe.ts';
import { readReport, writeMailbox } from './mailbox.ts';
import { makeOverlayDisk } from './overlay-disk.ts';
import { vmArguments, vmFiles, vmmName } from './qemu-arguments.ts';
import { QemuVmm } from './qemu-vmm.ts';
import { Qmp } from './qmp.ts';
import { startQemu } from './start-qemu.ts';
import { findByArgument, isAlive, readCommandLine, readStartTime } from './vmm-process.ts';

const mib = 1024 * 1024;

export interface QemuSettings {
  /** Name or path of QEMU's program. */
  program: string;
  /** A directory of this backend's own, where it keeps what it learned about the host. */
  stateDir: string;
  /** A kernel and initrd of the guest, to find out whether KVM works here. */
  probeKernelPath: string;
  probeInitrdPath: string;
  /** The guest's `tsc-khz`: prints the frequency of the host's time stamp counter. */
  tscProgram: string;
  /** "auto" takes KVM where it is seen to work. */
  accelerator: 'auto' | HypervisorProbe['accelerator'];
  /** A console file larger than this is copied to `console.log.1` and starts anew. */
  consoleMaxBytes: number;
}

/** MicroVMs by QEMU's `microvm` machine. Needs root; the VMMs it starts do not keep it. */
export class QemuHypervisor implements Hypervisor {
  readonly #settings: QemuSettings;
  readonly #clock: Clock;
  #probed: Promise<HypervisorProbe> | undefined;
  #tscKhz: Promise<number> | undefined;

  constructor(settings: QemuSettings, clock: Clock) {
    this.#settings = settings;
    this.#clock = clock;
  }

  /** Asked once in this process's life; a failure is asked again. */
  probe(): Promise<HypervisorProbe> {
    this.#probed ??= this.#probe().catch((error: unknown) => {
      this.#probed = undefined;
      throw error;
    });
    return this.#probed;
  }

  async launch(spec: VmmSpec): Promise<Vmm> {
    checkSpec(spec);
    const { accelerator } = await this.probe();
    const tscKhz = accelerator === 'tcg' ? await this.#measureTsc() : undefined;
    await mkdir(join(spec.dir, vmFiles.emptyRoot), { recursive: true });
    if ((await findByPidFile(spec.vmId, spec.dir)) !== undefined) {
      throw new IngotError('illegal_state', `VM ${spec.vmId} has a VMM running already`);
    }
    await makeOverlayDisk(join(spec.dir, vmFiles.overlay), spec.diskMib, spec.uid);
    await writeMailbox(join(spec.dir, vmFiles.mailbox), spec);
    const qmp = await startQemu({
      program: this.#settings.program,
      args: vmArguments(spec, accelerator, tscKhz),
      dir: spec.dir,
      netns: spec.network.netns,
      // The largest file it may write is its disk.
      maxFileBytes: Math.max(spec.diskMib * mib, this.#settings.consoleMaxBytes) + mib,
    });
    const record = await findByPidFile(spec.vmId, spec.dir);
    if (record === undefined) {
      qmp.close();
      throw new IngotError('vmm_crashed', `the VMM of VM ${spec.vmId} ended while it started`);
    }
    return this.#attach(record, qmp);
  }

  async recover(record: VmmRecord): Promise<Vmm | undefined> {
    if (!(await isAlive(record))) return undefined;
    try {
      return await this.#attach(record, await Qmp.connect(join(record.dir, vmFiles.qmp)));
    } catch (error) {
      // It may have ended just now; one that lives and does not answer is an error.
      if (!(await isAlive(record))) return undefined;
      throw error;
    }
  }

  /** Also finds a VMM that has not come to write its pid file, or a program of its launch. */
  async findStray(vmId: string, dir: string): Promise<VmmRecord | undefined> {
    const known = await findByPidFile(vmId, dir);
    if (known) return known;
    const found = await findByArgument(vmmName(vmId));
    return found && { vmId, dir, ...found };
  }

  readExit(dir: string): Promise<VmmExit> {
    return readReport(join(dir, vmFiles.mailbox));
  }

  consolePath(dir: string): string {
    return join(dir, vmFiles.console);
  }

  async #attach(record: VmmRecord, qmp: Qmp): Promise<QemuVmm> {
    const vmm = new QemuVmm(record, qmp, this.#settings.consoleMaxBytes, this.#clock);
    await vmm.listen();
    return vmm;
  }

  /** Measured once in this process's life: 0.2 s. */
  #measureTsc(): Promise<number> {
    this.#tscKhz ??= runCommand(this.#settings.tscProgram, [], { timeoutMs: 10_000 }).then(
      ({ stdout }) => parseTscKhz(stdout),
    );
    this.#tscKhz.catch(() => {
      this.#tscKhz = undefined;
    });
    return this.#tscKhz;
  }

  async #probe(): Promise<HypervisorProbe> {
    const { program, accelerator } = this.#settings;
    const { stdout } = await runCommand(program, ['--version'], { timeoutMs: 10_000 });
    const version = /version (\S+)/.exec(stdout)?.[1] ?? 'unknown';
    if (accelerator !== 'auto') return { name: 'qemu', version, accelerator };
    const works = await probeKvm({
      program,
      version,
      kernelPath: this.#settings.probeKernelPath,
      initrdPath: this.#settings.probeInitrdPath,
      answerPath: join(this.#settings.stateDir, 'kvm-probe.json'),
    });
    // Measured now, while the daemon starts, rather than in front of the first VM.
    if (!works) await this.#measureTsc();
    return { name: 'qemu', version, accelerator: works ? 'kvm' : 'tcg' };
  }
}

async function findByPidFile(vmId: string, dir: string): Promise<VmmRecord | undefined> {
  const text = await readFile(join(dir, vmFiles.pid), 'latin1').catch(() => '');
  const pid = Number.parseInt(text, 10);
  if (!Number.isSafeInteger(pid) || pid <= 1) return undefined;
  const startTimeTicks = await readStartTime(pid);
  if (startTimeTicks === undefined) return undefined;
  // The pid may have gone to somebody else since.
  const name = (await readCommandLine(pid)).includes(vmmName(vmId));
  return name ? { vmId, dir, pid, startTimeTicks } : undefined;
}

/** Between 100 MHz and 10 GHz is a counter; anything else is not. */
function parseTscKhz(printed: string): number {
  const khz = Number.parseInt(printed, 10);
  if (khz > 100_000 && khz < 10_000_000) return khz;
  throw new IngotError('boot_failed', `the time stamp counter of this host runs at ${khz} kHz`, {
    remedy: 'emulated guests need a steady counter; use a host with one, or with KVM',
  });
}

function checkSpec(spec: VmmSpec): void {
  const paths = [spec.dir, spec.kernelPath, spec.initrdPath, spec.rootfsPath];
  const relative = paths.find((path) => !isAbsolute(path));
  if (relative !== undefined) {
    throw new IngotError('invalid_argument', `the path ${relative} is not absolute`);
  }
  if (spec.uid === 0) throw new IngotError('invalid_argument', 'a VMM must not run as root');
}
