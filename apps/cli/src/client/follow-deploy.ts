import type { gateway } from '@ingot/contracts';
import { backoffMs, IngotError, isTransient } from '@ingot/daemon-kit/client';
import type { CommandContext } from '../command.ts';
import type { DeployReport } from '../output/deploy-report.ts';
import { explainUnreachable } from './gateway-client.ts';

/** How long gatewayd may be away in the middle of a deploy before we stop asking. */
const patienceMs = 120_000;

/**
 * Shows a deploy's progress until it is ready or failed. When the connection breaks after the
 * first event it is opened again: `open` must use the same idempotency key each time, and events
 * that come again are shown once.
 *
 * @returns the deployment, READY or FAILED.
 * @throws IngotError for what was refused, or unavailable when gatewayd stays away.
 */
export async function followDeploy(
  open: (signal: AbortSignal) => AsyncIterable<gateway.DeployEvent>,
  report: DeployReport,
  context: CommandContext,
): Promise<gateway.Deployment> {
  const { clock, random, interrupted, settings } = context;
  const shown = new Set<string>();
  let lastHeard: number | undefined;
  for (let attempt = 1; ; attempt++) {
    try {
      for await (const event of open(interrupted)) {
        if (lastHeard === undefined || attempt > 1) attempt = 1;
        lastHeard = clock.monotonicMs();
        const end = show(event, report, shown);
        if (end) return end;
      }
      throw new IngotError('unavailable', 'the progress ended before the deploy did');
    } catch (error) {
      interrupted.throwIfAborted();
      if (lastHeard === undefined || !isTransient(error)) throw explainUnreachable(error, settings);
      if (clock.monotonicMs() - lastHeard > patienceMs) {
        throw new IngotError('unavailable', 'gatewayd went away in the middle of the deploy', {
          remedy: 'the deploy goes on when gatewayd is back: `ingot status`, then `ingot ps`',
          cause: error,
        });
      }
      if (attempt === 1) report.warning('the connection to gatewayd was lost; asking again');
      await clock.sleep(
        100 + backoffMs(attempt, { baseMs: 250, capMs: 3000, random }),
        interrupted,
      );
    }
  }
}

/** Shows an event that was not shown before. @returns the deployment at the end. */
function show(
  { at, event }: gateway.DeployEvent,
  report: DeployReport,
  shown: Set<string>,
): gateway.Deployment | undefined {
  if (event.case === 'ready' || event.case === 'failed') {
    report[event.case](event.value);
    return event.value;
  }
  const text = event.case === 'step' ? event.value.name : (event.value ?? '');
  const key = `${event.case ?? ''} ${at?.seconds ?? ''}.${at?.nanos ?? ''} ${text}`;
  if (shown.has(key)) return undefined;
  shown.add(key);
  if (event.case !== undefined) report[event.case](text);
  return undefined;
}
