import { join } from 'node:path';
import { billing } from '@ingot/contracts';
import {
  type Clock,
  Counter,
  createMetrics,
  Gauge,
  loadIdentity,
  type Logger,
  startRpcServer,
} from '@ingot/daemon-kit';
import { HostWatch } from './actions/host-watch.ts';
import { RunBook } from './actions/run-book.ts';
import type { BillagedSettings } from './config.ts';
import type { Prices } from './domain/rating.ts';
import { startGapDetector } from './loops/detect-gaps.ts';
import { billingService } from './rpc/billing-service.ts';
import { usageService } from './rpc/usage-service.ts';
import { ChdbUsageStore } from './usage-store/chdb/chdb-usage-store.ts';

export interface Billaged {
  /** https://host:port */
  url: string;
  stop(): Promise<void>;
}

/**
 * Starts billaged: opens the usage store, reads where every run stands, then listens.
 *
 * @param deps.dataDir - certificates in `pki`, usage in `billaged/usage`.
 * @throws IngotError when the store, the certificate or the port cannot be had.
 */
export async function startBillaged(
  settings: BillagedSettings,
  deps: { dataDir: string; clock: Clock; logger: Logger },
): Promise<Billaged> {
  const { dataDir, clock, logger } = deps;
  const identity = await loadIdentity(join(dataDir, 'pki'), 'billaged');
  const store = await ChdbUsageStore.open({
    directory: join(dataDir, 'billaged', 'usage'),
    clock,
    logger,
  });
  try {
    const book = await RunBook.load(store);
    const hosts = await HostWatch.load(store);
    const metrics = createMetrics('billaged');
    const lateRuns = new Gauge({
      name: 'billaged_late_runs',
      help: 'Runs whose samples are overdue',
      registers: [metrics],
    });
    const server = await startRpcServer({
      listen: settings.listen,
      identity,
      logger,
      metrics,
      allow: {
        [billing.BillingService.typeName]: ['metald'],
        [billing.UsageService.typeName]: ['gatewayd'],
      },
      readiness: () => store.ping().then(ready, notReady),
      routes: (router) => {
        router.service(
          billing.BillingService,
          billingService({ store, book, hosts, clock, ...intakeMetrics(metrics) }),
        );
        router.service(
          billing.UsageService,
          usageService({ store, book, hosts, clock, prices: pricesOf(settings) }),
        );
      },
    });
    const gapDetector = startGapDetector({ book, hosts, lateRuns, clock, logger });
    logger.info({ url: server.url }, 'billaged is up');
    return {
      url: server.url,
      stop: async () => {
        await server.close();
        await gapDetector.stop();
        await store.close();
      },
    };
  } catch (error) {
    await store.close();
    throw error;
  }
}

function intakeMetrics(metrics: ReturnType<typeof createMetrics>): {
  batches: Counter<'outcome'>;
  samples: Counter;
} {
  return {
    batches: new Counter({
      name: 'billaged_batches_total',
      help: 'Batches by what became of them',
      labelNames: ['outcome'],
      registers: [metrics],
    }),
    samples: new Counter({
      name: 'billaged_samples_stored_total',
      help: 'Samples stored',
      registers: [metrics],
    }),
  };
}

function pricesOf(settings: BillagedSettings): Prices {
  return {
    cpu: BigInt(settings.cpuPriceNanos),
    memory: BigInt(settings.memoryPriceNanos),
    disk: BigInt(settings.diskPriceNanos),
    network: BigInt(settings.networkPriceNanos),
  };
}

function ready(): { ready: boolean; reasons: string[] } {
  return { ready: true, reasons: [] };
}

function notReady(error: unknown): { ready: boolean; reasons: string[] } {
  return { ready: false, reasons: [error instanceof Error ? error.message : String(error)] };
}
