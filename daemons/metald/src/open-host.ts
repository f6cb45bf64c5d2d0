import { randomUUID } from 'node:crypto';
import { chmod, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { asset, billing } from '@ingot/contracts';
import {
  type Clock,
  createRpcClient,
  type Identity,
  KeyedMutex,
  type Logger,
  type Random,
} from '@ingot/daemon-kit';
import { AttachedVmms } from './actions/attached-vmms.ts';
import type { Context } from './actions/context.ts';
import { reconcileVm } from './actions/reconcile-vm.ts';
import { removeStrays } from './actions/remove-strays.ts';
import { VmFeed } from './actions/vm-feed.ts';
import { HttpAppProbe } from './app-probe/http/http-app-probe.ts';
import type { MetaldSettings } from './config.ts';
import type { Hypervisor } from './hypervisor/hypervisor.ts';
import { QemuHypervisor } from './hypervisor/qemu/qemu-hypervisor.ts';
import { ProcCounters } from './metering/counters/proc-counters.ts';
import { JournalMetering } from './metering/journal-metering.ts';
import type { Metering } from './metering/metering.ts';
import { LinuxNetnsNetwork } from './network/linux-netns/linux-netns-network.ts';
import type { Network } from './network/network.ts';
import { SqliteVmStore } from './vm-store/sqlite/sqlite-vm-store.ts';

export interface HostDeps {
  /** VMs, journal and directories are in `metald`. */
  dataDir: string;
  clock: Clock;
  random: Random;
  logger: Logger;
  /** What a test puts in the place of the real ones. */
  backends?: Partial<Pick<Context, 'hypervisor' | 'network' | 'metering' | 'assets' | 'appProbe'>>;
}

export interface Host {
  context: Context;
  /** Lets go of everything; the VMs run on. */
  close(): Promise<void>;
}

/**
 * Opens this host's books, takes up the VMs that are alive, and finishes or takes back whatever an
 * earlier life of metald was in the middle of. `metald` and `--remove-everything` both begin here.
 *
 * @throws IngotError not_root or missing_program when the host lacks what VMs need.
 */
export async function openHost(
  settings: MetaldSettings,
  identity: Identity,
  deps: HostDeps,
): Promise<Host> {
  const { clock, logger, backends = {} } = deps;
  const stateDir = join(deps.dataDir, 'metald');
  const vmsDir = join(stateDir, 'vms');
  await mkdir(vmsDir, { recursive: true, mode: 0o700 });
  // The apps' environments and logs are below it.
  await chmod(stateDir, 0o700);
  const store = await SqliteVmStore.open(join(stateDir, 'metald.sqlite'), randomUUID());
  try {
    const context: Context = {
      store,
      hypervisor: backends.hypervisor ?? makeHypervisor(stateDir, settings, deps),
      network: backends.network ?? makeNetwork(store.hostId, stateDir, settings, logger),
      metering: backends.metering ?? makeMetering(store.hostId, stateDir, settings, identity, deps),
      assets:
        backends.assets ??
        createRpcClient(asset.AssetManagerService, {
          url: settings.assetmanagerdUrl,
          identity,
          expect: 'assetmanagerd',
        }),
      appProbe: backends.appProbe ?? new HttpAppProbe(),
      clock,
      logger,
      mutex: new KeyedMutex(),
      attached: new AttachedVmms(),
      feed: new VmFeed(),
      vmsDir,
      uidBase: settings.uidBase,
      leaseSeconds: settings.leaseSeconds,
    };
    await recover(context);
    return { context, close: () => closeHost(context) };
  } catch (error) {
    await store.close();
    throw error;
  }
}

async function recover(context: Context): Promise<void> {
  const { store, network, metering, clock, logger } = context;
  const vms = await store.unsettled();
  const slots = vms.flatMap(({ id, slot }) => (slot ? [[id, slot.index] as const] : []));
  await network.start(new Map(slots));
  await metering.start();
  await removeStrays(context);
  await Promise.all(
    vms.map((vm) =>
      reconcileVm(vm.id, context).catch((error: unknown) => {
        logger.error({ err: error, vmId: vm.id }, 'cannot take up a VM yet');
      }),
    ),
  );
  // Runs of VMs that no book knows: the books were lost or put back.
  for (const { vmId } of metering.openRuns()) {
    if (!(await store.get(vmId))) await metering.runStopped(vmId, clock.now());
  }
}

async function closeHost({ attached, metering, network, store }: Context): Promise<void> {
  await attached.detachAll();
  await metering.stop();
  await network.stop();
  await store.close();
}

function makeNetwork(
  hostId: string,
  stateDir: string,
  settings: MetaldSettings,
  logger: Logger,
): Network {
  return new LinuxNetnsNetwork(
    {
      instanceId: hostId.slice(0, 6),
      stateDir,
      subnet: settings.networkSubnet,
      capacity: settings.networkSlots,
      spare: settings.spareNetworkSlots,
      uidBase: settings.uidBase,
      nameservers: settings.nameservers,
    },
    logger,
  );
}

function makeMetering(
  hostId: string,
  stateDir: string,
  settings: MetaldSettings,
  identity: Identity,
  { clock, random, logger }: HostDeps,
): Metering {
  return new JournalMetering(
    { hostId, dir: join(stateDir, 'journal'), batchIntervalMs: settings.batchIntervalMs },
    {
      client: createRpcClient(billing.BillingService, {
        url: settings.billagedUrl,
        identity,
        expect: 'billaged',
      }),
      counters: new ProcCounters(),
      clock,
      random,
      logger,
    },
  );
}

function makeHypervisor(
  stateDir: string,
  settings: MetaldSettings,
  { clock }: HostDeps,
): Hypervisor {
  return new QemuHypervisor(
    {
      program: settings.qemuProgram,
      stateDir: join(stateDir, 'qemu'),
      probeKernelPath: join(settings.guestDir, 'vmlinux'),
      probeInitrdPath: join(settings.guestDir, 'initrd'),
      tscProgram: join(settings.guestDir, 'tsc-khz'),
      accelerator: settings.accelerator,
      consoleMaxBytes: settings.consoleMaxBytes,
    },
    clock,
  );
}
