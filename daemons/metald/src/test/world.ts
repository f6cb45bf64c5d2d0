import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import {
  createLogger,
  ensurePki,
  type Identity,
  loadIdentity,
  systemClock,
} from '@ingot/daemon-kit';
import { tempDir, type TempDir } from '@ingot/testkit';
import type { Context } from '../actions/context.ts';
import { settingsSchema } from '../config.ts';
import type { Vm, VmSpec, VmState } from '../domain/vm.ts';
import { FakeNetwork } from '../network/fake/fake-network.ts';
import { type Host, type HostDeps, openHost } from '../open-host.ts';
import { AssetStub } from './asset-stub.ts';
import { FakeHypervisor } from '../hypervisor/fake/fake-hypervisor.ts';
import { MeteringFake } from './metering-fake.ts';

/** Everything outside metald: what stays when metald goes. */
export class World {
  readonly temp: TempDir;
  readonly assets: AssetStub;
  readonly hypervisor = new FakeHypervisor();
  readonly metering = new MeteringFake();
  /** Whether apps answer, by endpoint; `true` lets all answer. */
  answering: boolean | ((endpoint: string) => boolean) = true;
  network: FakeNetwork;
  readonly settings = settingsSchema.parse({ listen: '127.0.0.1:0' });
  readonly identity: Identity;
  readonly #client: Context['assets'];
  readonly #hosts: Host[] = [];

  private constructor(
    temp: TempDir,
    assets: AssetStub,
    client: Context['assets'],
    identity: Identity,
  ) {
    this.temp = temp;
    this.assets = assets;
    this.#client = client;
    this.identity = identity;
    this.network = World.#newNetwork();
  }

  static async make(): Promise<World> {
    const temp = await tempDir('metald-test-');
    const pki = `${temp.path}/pki`;
    await ensurePki(pki, ['metald', 'gatewayd', 'builderd']);
    const assets = new AssetStub();
    return new World(temp, assets, await assets.start(), await loadIdentity(pki, 'metald'));
  }

  /** What a life of metald runs on. */
  deps(): HostDeps {
    this.network = World.#newNetwork();
    return {
      dataDir: this.temp.path,
      clock: systemClock,
      random: () => 0.5,
      logger: createLogger({ name: 'metald', level: 'silent' }),
      backends: {
        hypervisor: this.hypervisor,
        network: this.network,
        metering: this.metering,
        assets: this.#client,
        appProbe: {
          answers: async (endpoint) =>
            typeof this.answering === 'boolean' ? this.answering : this.answering(endpoint),
        },
      },
    };
  }

  /** A life of metald without its server and loops. */
  async open(): Promise<Context> {
    const host = await openHost(this.settings, this.identity, this.deps());
    this.#hosts.push(host);
    return host.context;
  }

  spec(changes: Partial<VmSpec> = {}): VmSpec {
    return {
      tenantId: 'tenant',
      deploymentId: 'deployment',
      hostname: 'shop',
      vcpus: 1,
      memoryMib: 128,
      diskMib: 64,
      rootfsAssetId: this.assets.rootfsId,
      kernelAssetId: '',
      app: { args: ['/app'], env: [], workingDir: '/', user: '', port: 8080 },
      readyTimeoutSeconds: 5,
      ...changes,
    };
  }

  async remove(): Promise<void> {
    for (const { context } of this.#hosts) {
      // Not awaited: the tasks of a life that a test has cut short never end.
      void context.attached.detachAll();
      await context.store.close();
    }
    await this.assets.stop();
    await this.temp.remove();
  }

  static #newNetwork(): FakeNetwork {
    const logger = createLogger({ name: 'network', level: 'silent' });
    return new FakeNetwork({ capacity: 8, spare: 0, logger });
  }
}

/** A VM id of its own. */
export function newVmId(): string {
  return randomUUID();
}

/** Waits until the VM is in the state. */
export async function untilState(id: string, state: VmState, { store }: Context): Promise<Vm> {
  const end = performance.now() + 5_000;
  for (;;) {
    const vm = await store.get(id);
    if (vm?.state === state) return vm;
    if (performance.now() > end) throw new Error(`VM is ${vm?.state}, not ${state}`);
    await delay(5);
  }
}
