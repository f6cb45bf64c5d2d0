import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { asset, metal } from '@ingot/contracts';
import {
  createMetrics,
  Gauge,
  loadIdentity,
  messageOf,
  type Readiness,
  startRpcServer,
} from '@ingot/daemon-kit';
import type { Context } from './actions/context.ts';
import type { MetaldSettings } from './config.ts';
import type { HypervisorProbe } from './hypervisor/hypervisor.ts';
import { startReconciler } from './loops/reconcile.ts';
import { startLeaseRenewal } from './loops/renew-leases.ts';
import { type HostDeps, openHost } from './open-host.ts';
import { hostService } from './rpc/host-service.ts';
import { vmService } from './rpc/vm-service.ts';

export interface Metald {
  /** https://host:port */
  url: string;
  /** Stops serving and measuring; the VMs run on. */
  stop(): Promise<void>;
}

/**
 * Starts metald: takes up the VMs of this host, then listens.
 *
 * @param deps.dataDir - certificates in `pki`, VMs and usage journal in `metald`.
 * @throws IngotError when the certificate, the port, the network or the hypervisor cannot be had.
 */
export async function startMetald(settings: MetaldSettings, deps: HostDeps): Promise<Metald> {
  const { dataDir, logger } = deps;
  const identity = await loadIdentity(join(dataDir, 'pki'), 'metald');
  const host = await openHost(settings, identity, deps);
  const { context } = host;
  try {
    const probe = await context.hypervisor.probe();
    const server = await startRpcServer({
      listen: settings.listen,
      identity,
      logger,
      metrics: hostMetrics(context),
      allow: {
        [metal.VmService.typeName]: ['gatewayd'],
        [metal.HostService.typeName]: ['gatewayd'],
      },
      readiness: () => readiness(context),
      routes: (router) => {
        router.service(metal.VmService, vmService(context));
        router.service(
          metal.HostService,
          hostService(context, { probe, vcpus: cpus().length, memoryBytes: totalmem() }),
        );
      },
    });
    const loops = [startReconciler(context, settings), startLeaseRenewal(context)];
    logger.info(
      { url: server.url, hostId: context.store.hostId, ...describe(probe) },
      'metald is up',
    );
    return {
      url: server.url,
      stop: async () => {
        await server.close();
        await Promise.all(loops.map((loop) => loop.stop()));
        await host.close();
      },
    };
  } catch (error) {
    await host.close();
    throw error;
  }
}

function describe({ name, version, accelerator }: HypervisorProbe): Record<string, string> {
  return { hypervisor: `${name} ${version}`, accelerator };
}

/** Not ready without a hypervisor or assets; billing that is away is a reason, not a hindrance. */
async function readiness({ hypervisor, assets, metering }: Context): Promise<Readiness> {
  const hindrances = await Promise.all([
    hypervisor.probe().then(fine, (error: unknown) => `no hypervisor: ${messageOf(error)}`),
    assets
      .listAssets({ type: asset.AssetType.KERNEL, pageSize: 1 }, { timeoutMs: 2_000 })
      .then(fine, (error: unknown) => `assetmanagerd does not answer: ${messageOf(error)}`),
  ]);
  const missing = hindrances.filter((reason) => reason !== undefined);
  const degraded = [
    metering.billingDegraded
      ? 'billing_degraded: usage waits here until billaged answers'
      : undefined,
    metering.journalProblem,
  ].filter((reason) => reason !== undefined);
  return { ready: missing.length === 0, reasons: [...missing, ...degraded] };
}

function fine(): undefined {
  return undefined;
}

function hostMetrics({ store, metering }: Context): ReturnType<typeof createMetrics> {
  const metrics = createMetrics('metald');
  const gauge = <L extends string>(
    name: string,
    help: string,
    labelNames: L[],
    collect: (gauge: Gauge<L>) => Promise<void> | void,
  ): void => {
    const made: Gauge<L> = new Gauge<L>({
      ...{ name, help, labelNames, registers: [metrics] },
      collect: (): Promise<void> | void => collect(made),
    });
  };
  gauge('metald_vms', 'VMs by state', ['state'], async (vms) => {
    vms.reset();
    for (const { state } of await store.unsettled()) vms.inc({ state });
  });
  gauge('metald_billing_degraded', '1 while billaged does not answer', [], (degraded) =>
    degraded.set(metering.billingDegraded ? 1 : 0),
  );
  return metrics;
}
