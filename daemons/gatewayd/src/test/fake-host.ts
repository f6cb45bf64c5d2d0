import { once } from 'node:events';
import { create } from '@bufbuild/protobuf';
import type { ServiceImpl } from '@connectrpc/connect';
import { metal as proto } from '@ingot/contracts';
import { IngotError } from '@ingot/daemon-kit';

const { VmState } = proto;

/**
 * metald as the gateway sees it: the real contract, VMs that are entries in a map. What happens
 * to them is scripted.
 */
export class FakeHost {
  readonly vms = new Map<string, proto.Vm>();
  readonly calls: string[] = [];
  /** Where the VM's app answers; a test puts a real server there. */
  endpoint = '127.0.0.1:9';
  /** What becomes of a VM that boots. */
  onBoot: (vm: proto.Vm) => void = (vm) => this.set(vm.id, { state: VmState.RUNNING });
  /** Called before each method; throw or wait in it. */
  before: (method: string) => Promise<void> | void = () => undefined;
  readonly #watchers = new Set<(vm: proto.Vm) => void>();

  /** Changes a VM and tells who watches. */
  set(id: string, change: Partial<Omit<proto.Vm, '$typeName' | '$unknown'>>): void {
    const vm = this.vms.get(id);
    if (!vm) return;
    Object.assign(vm, change);
    for (const watcher of this.#watchers) watcher(vm);
  }

  async #enter(method: string, vmId: string): Promise<void> {
    this.calls.push(`${method} ${vmId}`);
    await this.before(method);
  }

  #find(vmId: string): proto.Vm {
    const vm = this.vms.get(vmId);
    if (!vm) throw new IngotError('vm_not_found', `there is no VM ${vmId}`);
    return vm;
  }

  readonly service: ServiceImpl<typeof proto.VmService> = {
    createVm: async ({ vmId, spec }) => {
      await this.#enter('createVm', vmId);
      const known = this.vms.get(vmId);
      if (known) return known;
      const { endpoint } = this;
      const state = VmState.CREATED;
      const vm = create(proto.VmSchema, { id: vmId, state, endpoint, ...(spec ? { spec } : {}) });
      this.vms.set(vmId, vm);
      this.set(vmId, {});
      return vm;
    },
    bootVm: async ({ vmId }) => {
      await this.#enter('bootVm', vmId);
      const vm = this.#find(vmId);
      if (vm.state !== VmState.CREATED) throw new IngotError('illegal_state', 'not CREATED');
      this.set(vmId, { state: VmState.BOOTING, bootEpoch: 1 });
      const answer = create(proto.VmSchema, { id: vmId, state: VmState.BOOTING });
      setImmediate(() => this.onBoot(vm));
      return answer;
    },
    shutdownVm: async ({ vmId }) => {
      await this.#enter('shutdownVm', vmId);
      const vm = this.#find(vmId);
      if (vm.state !== VmState.RUNNING) throw new IngotError('illegal_state', 'not RUNNING');
      this.set(vmId, { state: VmState.STOPPING });
      setTimeout(() => this.set(vmId, { state: VmState.STOPPED }), 20);
      return vm;
    },
    deleteVm: async ({ vmId }) => {
      await this.#enter('deleteVm', vmId);
      const vm = this.#find(vmId);
      this.set(vmId, { state: VmState.DELETED });
      this.vms.delete(vmId);
      return vm;
    },
    getVm: async ({ vmId }) => {
      await this.before('getVm');
      return this.#find(vmId);
    },
    listVms: () => ({ vms: [...this.vms.values()], nextPageToken: '' }),
    watchVms: (_request, { signal }) => this.#watch(signal),
    async *streamConsole({ vmId, follow }, { signal }) {
      yield { data: Buffer.from(`console of ${vmId}\n`) };
      if (follow) await once(signal, 'abort');
    },
  };

  async *#watch(signal: AbortSignal): AsyncGenerator<proto.Vm> {
    await this.before('watchVms');
    const queue = [...this.vms.values()].map((vm) => ({ ...vm }));
    let wake = Promise.withResolvers<void>();
    const watcher = (vm: proto.Vm): void => {
      queue.push({ ...vm });
      wake.resolve();
    };
    this.#watchers.add(watcher);
    signal.addEventListener('abort', () => wake.resolve());
    try {
      while (!signal.aborted) {
        const vm = queue.shift();
        if (vm) yield vm;
        else {
          await wake.promise;
          wake = Promise.withResolvers<void>();
        }
      }
    } finally {
      this.#watchers.delete(watcher);
    }
  }
}
