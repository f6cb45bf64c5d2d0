import type { billing } from '@ingot/contracts';
import { IngotError } from '@ingot/daemon-kit';
import type { Run } from '../domain/run.ts';

/** The run a request is about. The proto requires it, so its absence is a bug of the validation. */
export function runOfMessage(message: billing.VmRun | undefined): Run {
  if (!message) throw new IngotError('invalid_argument', 'the request names no run');
  const { hostId, bootEpoch, tenantId, deploymentId } = message;
  return { hostId, vmId: message.vmId.toLowerCase(), bootEpoch, tenantId, deploymentId };
}
