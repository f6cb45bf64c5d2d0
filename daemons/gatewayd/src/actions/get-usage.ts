import type { Client } from '@connectrpc/connect';
import type { billing } from '@ingot/contracts';
import { type Clock, IngotError, isIngotError, isTransient } from '@ingot/daemon-kit';
import type { Context } from './context.ts';
import type { DeploymentStore } from '../store/deployment-store.ts';

export interface UsageContext {
  store: DeploymentStore;
  billing: Client<typeof billing.UsageService>;
  clock: Clock;
  call: Context['call'];
}

export interface TenantUsage {
  deployments: { name: string; usage: billing.DeploymentUsage }[];
  totalCostNanos: bigint;
  freshThrough: billing.QueryUsageResponse['freshThrough'];
  gaps: billing.Gap[];
  fromUnixMs: number;
  toUnixMs: number;
}

/**
 * The tenant's usage by name, of deployments that are gone too.
 *
 * @param name - "" for all.
 * @param range - half-open, Unix ms; 0 and 0 for this month (UTC) so far, an end of 0 for now.
 * @throws IngotError deployment_not_found, invalid_argument, billing_unavailable
 */
export async function getUsage(
  context: UsageContext,
  tenantId: string,
  name: string,
  range: { from: number; to: number },
): Promise<TenantUsage> {
  const now = context.clock.now();
  const to = range.to || now;
  const from = range.from || (range.to === 0 ? startOfMonth(now) : 0);
  if (from >= to) {
    throw new IngotError('invalid_argument', 'the range ends before it begins', {
      remedy: 'give a "to" that is later than the "from"',
    });
  }
  const names = await context.store.namesOf(tenantId);
  // A name can have been used by one deployment after the other.
  const ids = name === '' ? [''] : [...names].flatMap(([id, of]) => (of === name ? [id] : []));
  if (ids.length === 0) {
    throw new IngotError('deployment_not_found', `there is and was no deployment ${name}`);
  }
  const answers = await Promise.all(ids.map((id) => query(context, tenantId, id, from, to)));
  return {
    deployments: answers.flatMap(({ deployments }) =>
      deployments.map((usage) => ({
        name: names.get(usage.deploymentId) ?? usage.deploymentId,
        usage,
      })),
    ),
    totalCostNanos: answers.reduce((sum, { totalCostNanos }) => sum + totalCostNanos, 0n),
    freshThrough: answers[0]?.freshThrough,
    gaps: answers.flatMap(({ gaps }) => gaps),
    fromUnixMs: from,
    toUnixMs: to,
  };
}

async function query(
  context: UsageContext,
  tenantId: string,
  deploymentId: string,
  from: number,
  to: number,
): Promise<billing.QueryUsageResponse> {
  const request = { tenantId, deploymentId, fromUnixMs: BigInt(from), toUnixMs: BigInt(to) };
  try {
    return await context.billing.queryUsage(request, context.call());
  } catch (error) {
    if (!isTransient(error) && !isIngotError(error, 'cancelled')) throw error;
    throw new IngotError('billing_unavailable', 'billing does not answer at the moment', {
      remedy: 'try again later: usage is kept on the hosts until billing is back, nothing is lost',
      cause: error,
    });
  }
}

function startOfMonth(now: number): number {
  const date = new Date(now);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth());
}
