import { IngotError } from '@ingot/daemon-kit';
import { freshThrough } from '../domain/freshness.ts';
import { type Prices, type RatedUsage, rateUsage } from '../domain/rating.ts';
import type { Usage } from '../domain/usage.ts';
import type { RunGap, UsageQuery, UsageStore } from '../usage-store/usage-store.ts';
import type { HostWatch } from './host-watch.ts';
import type { RunBook } from './run-book.ts';

export interface UsageAnswer {
  deployments: ({ deploymentId: string; usage: Usage } & RatedUsage)[];
  totalCostNanos: bigint;
  /** See `freshThrough`. */
  freshThroughMs: number | undefined;
  gaps: RunGap[];
}

/**
 * What a tenant used in a stretch of time, and what that costs.
 *
 * @throws IngotError invalid_argument for an empty range.
 */
export async function queryUsage(
  query: UsageQuery,
  context: {
    store: UsageStore;
    book: RunBook;
    hosts: HostWatch;
    prices: Prices;
    /** Unix milliseconds. */
    nowMs: number;
  },
): Promise<UsageAnswer> {
  if (query.fromMs >= query.toMs) {
    throw new IngotError('invalid_argument', 'the range is empty: from must lie before to');
  }
  // Before the sums are read, so that what it promises is in them.
  const freshThroughMs = freshThrough(
    context.book.unfinished().filter(({ run }) => matches(run, query)),
    context.hosts.newest(),
    context.nowMs,
  );
  const sums = await context.store.sumUsage(query);
  const deployments = sums.map((sum) => ({ ...sum, ...rateUsage(sum.usage, context.prices) }));
  return {
    deployments,
    totalCostNanos: deployments.reduce((total, { costNanos }) => total + costNanos, 0n),
    freshThroughMs,
    gaps: await context.store.listGaps(query),
  };
}

function matches(run: { tenantId: string; deploymentId: string }, query: UsageQuery): boolean {
  return (
    run.tenantId === query.tenantId &&
    (query.deploymentId === undefined || run.deploymentId === query.deploymentId)
  );
}
