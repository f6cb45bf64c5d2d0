import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { IngotError } from '@ingot/daemon-kit';
import type {
  Hypervisor,
  HypervisorProbe,
  Vmm,
  VmmExit,
  VmmRecord,
  VmmSpec,
} from '../hypervisor.ts';

const noWord: VmmExit = { appExitCode: undefined, guestError: undefined };

/** One VMM "process"; it lives on when metald does not. */
export class FakeProcess {
  readonly spec: VmmSpec;
  readonly record: VmmRecord;
  started = 0;
  shutdownRequests = 0;
  /** Exit code of the app when it is asked to end; undefined ignores the request. */
  obeysWith: number | undefined = 0;
  exit: VmmExit | undefined;
  readonly #ended = Promise.withResolvers<VmmExit>();

  constructor(spec: VmmSpec, pid: number) {
    this.spec = spec;
    this.record = { vmId: spec.vmId, dir: spec.dir, pid, startTimeTicks: pid * 10 };
  }

  get ended(): Promise<VmmExit> {
    return this.#ended.promise;
  }

  /** Writes to the console as the app would. */
  print(text: string): void {
    appendFileSync(join(this.spec.dir, 'console.log'), text);
  }

  /** Ends it: with a report as PID 1 of a guest would leave it, or without a word. */
  end(exit: Partial<VmmExit> = {}): void {
    if (this.exit) return;
    this.exit = { ...noWord, ...exit };
    this.#ended.resolve(this.exit);
  }
}

/**
 * VMMs of the mind, kept over the lives of metald: hand the same one to every metald of a test.
 * Ends, failures and delays come on command.
 */
export class FakeHypervisor implements Hypervisor {
  /** Every one ever launched, in order. */
  readonly processes: FakeProcess[] = [];
  failNextLaunch: Error | undefined;
  failNextStart: Error | undefined;
  /** Awaited by every launch before there is a process: block it for as long as a test needs. */
  beforeLaunch: () => Promise<void> = async () => undefined;
  /** Run right after a guest was started: print, or end after a while. */
  onStart: (process: FakeProcess) => void = () => undefined;

  get alive(): FakeProcess[] {
    return this.processes.filter(({ exit }) => !exit);
  }

  async probe(): Promise<HypervisorProbe> {
    return { name: 'fake', version: '1', accelerator: 'tcg' };
  }

  async launch(spec: VmmSpec): Promise<Vmm> {
    await this.beforeLaunch();
    const failure = this.failNextLaunch;
    this.failNextLaunch = undefined;
    if (failure) throw failure;
    if (this.#find(spec.vmId)) {
      throw new IngotError('illegal_state', `VM ${spec.vmId} has a VMM running already`);
    }
    const launched = new FakeProcess(spec, 1000 + this.processes.length);
    this.processes.push(launched);
    return this.#attach(launched);
  }

  async recover(record: VmmRecord): Promise<Vmm | undefined> {
    const found = this.#find(record.vmId);
    const same =
      found?.record.pid === record.pid && found.record.startTimeTicks === record.startTimeTicks;
    return same ? this.#attach(found) : undefined;
  }

  async findStray(vmId: string): Promise<VmmRecord | undefined> {
    return this.#find(vmId)?.record;
  }

  async readExit(dir: string): Promise<VmmExit> {
    return this.processes.findLast(({ spec }) => spec.dir === dir)?.exit ?? noWord;
  }

  consolePath(dir: string): string {
    return join(dir, 'console.log');
  }

  #find(vmId: string): FakeProcess | undefined {
    return this.alive.find(({ spec }) => spec.vmId === vmId);
  }

  #attach(of: FakeProcess): Vmm {
    return {
      record: of.record,
      start: async () => {
        const failure = this.failNextStart;
        this.failNextStart = undefined;
        if (failure) throw failure;
        of.started += 1;
        if (of.started === 1) this.onStart(of);
      },
      requestShutdown: async () => {
        of.shutdownRequests += 1;
        if (of.obeysWith !== undefined) of.end({ appExitCode: of.obeysWith });
      },
      kill: async () => of.end(),
      exited: of.ended,
      detach: async () => undefined,
    };
  }
}
