import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import type { ServiceImpl } from '@connectrpc/connect';
import type { billing } from '@ingot/contracts';
import type { Clock } from '@ingot/daemon-kit';
import type { HostWatch } from '../actions/host-watch.ts';
import { queryUsage } from '../actions/query-usage.ts';
import type { RunBook } from '../actions/run-book.ts';
import type { Prices } from '../domain/rating.ts';
import type { UsageStore } from '../usage-store/usage-store.ts';

/** Answers what was used and what it costs. */
export function usageService(context: {
  store: UsageStore;
  book: RunBook;
  hosts: HostWatch;
  prices: Prices;
  clock: Clock;
}): ServiceImpl<typeof billing.UsageService> {
  return {
    queryUsage: async (request) => {
      const query = {
        tenantId: request.tenantId,
        deploymentId: request.deploymentId || undefined,
        fromMs: instant(request.fromUnixMs),
        toMs: instant(request.toUnixMs),
      };
      const answer = await queryUsage(query, { ...context, nowMs: context.clock.now() });
      return {
        deployments: answer.deployments.map(({ deploymentId, usage, lines, costNanos }) => ({
          deploymentId,
          usage: { ...usage, memoryByteMs: usage.memoryByteMs.toString() },
          lines,
          costNanos,
        })),
        totalCostNanos: answer.totalCostNanos,
        ...(answer.freshThroughMs === undefined
          ? {}
          : { freshThrough: timestampFromMs(answer.freshThroughMs) }),
        gaps: answer.gaps.map(({ vmId, bootEpoch, fromMs, toMs, cause }) => ({
          vmId,
          bootEpoch,
          fromUnixMs: BigInt(fromMs),
          toUnixMs: BigInt(toMs),
          cause,
        })),
      };
    },
  };
}

/** An end of a range: "for ever" may be any large number. */
function instant(unixMs: bigint): number {
  const most = BigInt(Number.MAX_SAFE_INTEGER);
  return Number(unixMs < most ? unixMs : most);
}
