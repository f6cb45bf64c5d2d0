import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import type {
  Hypervisor,
  HypervisorProbe,
  Vmm,
  VmmExit,
  VmmRecord,
  VmmSpec,
} from '../hypervisor/hypervisor.ts';

const noWord: VmmExit = { appExitCode: undefined, guestError: undefined };

/** One VMM "process"; it lives on when metald does not. */
export class StubProcess {
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

  print(text: string): void {
    appendFileSync(join(this.spec.dir, 'console.log'), text);
  }

  end(exit: Partial<VmmExit> = {}): void {
    if (this.exit) return;
    this.exit = { ...noWord, ...exit };
    this.#ended.resolve(this.exit);
  }
}

/** Processes of the mind, kept over the lives of metald. Ends and failures come on command. */
export class HypervisorStub implements Hypervisor {
  readonly processes: StubProcess[] = [];
  failNextLaunch: Error | undefined;
  failNextStart: Error | undefined;
  /** Run right after a guest was started. */
  onStart: (process: StubProcess) => void = () => undefined;

  get alive(): StubProcess[] {
    return this.processes.filter(({ exit }) => !exit);
  }

  async probe(): Promise<HypervisorProbe> {
    return { name: 'stub', version: '1', accelerator: 'tcg' };
  }

  async launch(spec: VmmSpec): Promise<Vmm> {
    const failure = this.failNextLaunch;
    this.failNextLaunch = undefined;
    if (failure) throw failure;
    const started = new StubProcess(spec, 1000 + this.processes.length);
    this.processes.push(started);
    return this.#vmm(started);
  }

  async recover(record: VmmRecord): Promise<Vmm | undefined> {
    const found = this.alive.find(({ record: { pid } }) => pid === record.pid);
    return found && this.#vmm(found);
  }

  async findStray(vmId: string): Promise<VmmRecord | undefined> {
    return this.alive.find(({ spec }) => spec.vmId === vmId)?.record;
  }

  async readExit(dir: string): Promise<VmmExit> {
    return this.processes.findLast(({ spec }) => spec.dir === dir)?.exit ?? noWord;
  }

  consolePath(dir: string): string {
    return join(dir, 'console.log');
  }

  #vmm(of: StubProcess): Vmm {
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
