import { createHash } from 'node:crypto';
import type { Sample } from '../gen/ingot/billing/v1/billing_pb.js';

/**
 * The content hash of a batch of usage samples: lower-case hex SHA-256 over one line per sample,
 * each line its ten fields in the order of the proto's field numbers as decimals, separated by one
 * space and ended by "\n". It does not depend on how protobuf happens to encode the message.
 */
export function hashSamples(samples: readonly Omit<Sample, '$typeName' | '$unknown'>[]): string {
  const hash = createHash('sha256');
  for (const s of samples) {
    hash.update(
      `${s.sequence} ${s.atUnixMs} ${s.coversMs} ${s.cpuNs} ${s.memoryBytes} ${s.residentBytes} ` +
        `${s.diskReadBytes} ${s.diskWriteBytes} ${s.netRxBytes} ${s.netTxBytes}\n`,
    );
  }
  return hash.digest('hex');
}
