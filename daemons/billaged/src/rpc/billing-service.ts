import type { ServiceImpl } from '@connectrpc/connect';
import type { billing } from '@ingot/contracts';
import { type Clock, type Counter, isIngotError } from '@ingot/daemon-kit';
import type { HostWatch } from '../actions/host-watch.ts';
import { recordGap, recordStarted, recordStopped } from '../actions/record-notices.ts';
import type { RunBook } from '../actions/run-book.ts';
import { storeBatch } from '../actions/store-batch.ts';
import { checkInstant } from '../domain/acceptance.ts';
import type { UsageStore } from '../usage-store/usage-store.ts';
import { runOfMessage } from './run-messages.ts';

/** Takes usage in. */
export function billingService(context: {
  store: UsageStore;
  book: RunBook;
  hosts: HostWatch;
  clock: Clock;
  batches: Counter<'outcome'>;
  samples: Counter;
}): ServiceImpl<typeof billing.BillingService> {
  const { store, book, hosts, clock, batches, samples } = context;
  const books = () => ({ store, book, nowMs: clock.now() });
  return {
    sendMetricsBatch: async (request) => {
      const batch = {
        run: runOfMessage(request.run),
        samples: request.samples,
        contentSha256: request.contentSha256,
      };
      try {
        const { storedThrough, added } = await storeBatch(batch, context);
        batches.inc({ outcome: added > 0 ? 'stored' : 'duplicate' });
        samples.inc(added);
        return { storedThrough, duplicate: added === 0 };
      } catch (error) {
        batches.inc({ outcome: isIngotError(error) ? error.reason : 'internal' });
        throw error;
      }
    },
    sendHeartbeat: async ({ hostId, atUnixMs, runs }) => {
      const atMs = Number(atUnixMs);
      checkInstant(atMs, clock.now());
      const progress = runs.map(({ vmId, bootEpoch, lastSequence }) => ({
        vmId: vmId.toLowerCase(),
        bootEpoch,
        lastSequence,
      }));
      await hosts.record({ hostId, atMs, runs: progress }, book);
      return {};
    },
    notifyVmStarted: async ({ run, atUnixMs, vcpus, memoryBytes }) => {
      const start = { atMs: Number(atUnixMs), vcpus, memoryBytes };
      await recordStarted(runOfMessage(run), start, books());
      return {};
    },
    notifyVmStopped: async ({ run, atUnixMs, lastSequence }) => {
      const end = { atMs: Number(atUnixMs), lastSequence };
      await recordStopped(runOfMessage(run), end, books());
      return {};
    },
    notifyPossibleGap: async ({ run, fromUnixMs, toUnixMs, cause }) => {
      const gap = { fromMs: Number(fromUnixMs), toMs: Number(toUnixMs), cause };
      await recordGap(runOfMessage(run), gap, books());
      return {};
    },
  };
}
