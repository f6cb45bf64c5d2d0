import { join } from 'node:path';
import type { Clock } from '@ingot/daemon-kit';
import type { Vmm, VmmExit, VmmRecord } from '../hypervisor.ts';
import { boundConsole } from './console-log.ts';
import { ControlChannel } from './control-channel.ts';
import { readReport } from './mailbox.ts';
import { vmFiles } from './qemu-arguments.ts';
import type { Qmp } from './qmp.ts';
import { killProcess, waitUntilGone } from './vmm-process.ts';

/** A running QEMU that this process holds the control socket of. */
export class QemuVmm implements Vmm {
  readonly record: VmmRecord;
  readonly exited: Promise<VmmExit>;
  readonly #qmp: Qmp;
  readonly #control: ControlChannel;
  readonly #unbindConsole: () => void;
  #detached = false;

  constructor(record: VmmRecord, qmp: Qmp, consoleMaxBytes: number, clock: Clock) {
    this.record = record;
    this.#qmp = qmp;
    this.#control = new ControlChannel(join(record.dir, vmFiles.control), clock);
    this.#unbindConsole = boundConsole(join(record.dir, vmFiles.console), consoleMaxBytes);
    this.exited = this.#watch();
  }

  /** Listens on the channel to the guest. A guest that cannot be heard still runs. */
  async listen(): Promise<void> {
    await this.#control.open().catch(() => undefined);
  }

  async start(): Promise<void> {
    await this.#qmp.execute('cont');
  }

  async requestShutdown(): Promise<void> {
    await this.#control.requestStop();
  }

  async kill(): Promise<void> {
    await killProcess(this.record);
    await waitUntilGone(this.record);
  }

  async detach(): Promise<void> {
    this.#detached = true;
    this.#release();
    await this.#qmp.closed;
  }

  async #watch(): Promise<VmmExit> {
    // The kernel closes the socket when the process ends, however it ends.
    await this.#qmp.closed;
    if (this.#detached) return new Promise(() => undefined);
    await waitUntilGone(this.record);
    this.#release();
    return readReport(join(this.record.dir, vmFiles.mailbox));
  }

  #release(): void {
    this.#qmp.close();
    this.#control.close();
    this.#unbindConsole();
  }
}
