import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { timestampMs } from '@bufbuild/protobuf/wkt';
import { billing, hashSamples } from '@ingot/contracts';
import {
  createLogger,
  createRpcClient,
  ensurePki,
  isIngotError,
  loadIdentity,
  systemClock,
} from '@ingot/daemon-kit';
import { type TempDir, tempDir } from '@ingot/testkit';
import { type Billaged, startBillaged } from './billaged.ts';
import { billagedSchema } from './config.ts';

const run = {
  hostId: 'host-1',
  vmId: '6F1E0C6E-0D0A-4B53-9D53-2F1F5C4F6A01',
  bootEpoch: 1,
  tenantId: 'acme',
  deploymentId: 'shop',
};
const settings = billagedSchema.parse({ listen: '127.0.0.1:0' });
const logger = createLogger({ name: 'test', level: 'silent' });
const startedAt = Date.now() - 60_000;
let data: TempDir;
let daemon: Billaged;

before(async () => {
  data = await tempDir();
  await ensurePki(join(data.path, 'pki'), ['billaged', 'metald', 'gatewayd']);
  daemon = await start();
});

after(async () => {
  await daemon.stop();
  await data.remove();
});

function start(): Promise<Billaged> {
  return startBillaged(settings, { dataDir: data.path, clock: systemClock, logger });
}

async function clientOf<S extends typeof billing.BillingService | typeof billing.UsageService>(
  service: S,
  name: string,
) {
  const identity = await loadIdentity(join(data.path, 'pki'), name);
  return createRpcClient(service, { url: daemon.url, identity, expect: 'billaged' });
}

/** Samples of a VM that uses a tenth of a core and 128 MiB. */
function batch(
  first: number,
  last: number,
): MessageInitShape<typeof billing.SendMetricsBatchRequestSchema> {
  const samples = Array.from({ length: last - first + 1 }, (_, index) => {
    const n = first + index;
    return create(billing.SampleSchema, {
      sequence: BigInt(n),
      atUnixMs: BigInt(startedAt + n * 100),
      coversMs: 100,
      cpuNs: BigInt(n) * 10_000_000n,
      memoryBytes: 134_217_728n,
      residentBytes: 70_000_000n,
      diskReadBytes: BigInt(n) * 1_000_000n,
      diskWriteBytes: 0n,
      netRxBytes: 5n,
      netTxBytes: BigInt(n) * 1000n,
    });
  });
  return { run, samples, contentSha256: hashSamples(samples) };
}

test('usage goes in as metald, comes out priced as gatewayd, and survives a restart', async () => {
  const metald = await clientOf(billing.BillingService, 'metald');
  const started = { run, atUnixMs: BigInt(startedAt), vcpus: 1, memoryBytes: 134_217_728n };
  await metald.notifyVmStarted(started);
  await metald.notifyVmStarted(started);
  assert.partialDeepStrictEqual(await metald.sendMetricsBatch(batch(1, 300)), {
    storedThrough: 300n,
    duplicate: false,
  });
  assert.partialDeepStrictEqual(await metald.sendMetricsBatch(batch(1, 300)), {
    storedThrough: 300n,
    duplicate: true,
  });
  await daemon.stop();
  daemon = await start();

  const again = await clientOf(billing.BillingService, 'metald');
  assert.partialDeepStrictEqual(await again.sendMetricsBatch(batch(201, 600)), {
    storedThrough: 600n,
    duplicate: false,
  });
  await again.notifyVmStopped({ run, atUnixMs: BigInt(startedAt + 60_000), lastSequence: 600n });
  const gap = { fromUnixMs: BigInt(startedAt), toUnixMs: BigInt(startedAt + 1), cause: 'test' };
  await again.notifyPossibleGap({ run, ...gap });
  await again.notifyPossibleGap({ run, ...gap });
  const beatAt = BigInt(startedAt + 60_100);
  await again.sendHeartbeat({ hostId: 'host-1', atUnixMs: beatAt, runs: [] });

  const gatewayd = await clientOf(billing.UsageService, 'gatewayd');
  const answer = await gatewayd.queryUsage({
    tenantId: 'acme',
    fromUnixMs: 0n,
    toUnixMs: 2n ** 62n,
  });
  const [shop] = answer.deployments;
  assert.partialDeepStrictEqual(shop?.usage, {
    cpuNs: 6_000_000_000n,
    memoryByteMs: String(134_217_728n * 60_000n),
    vmMs: 60_000n,
    diskReadBytes: 600_000_000n,
    netRxBytes: 5n,
    netTxBytes: 600_000n,
    samples: 600n,
  });
  // 6 s of $0.10/h, 0.134 GB for 60 s at $0.05/h, 0.6 GB at $0.10, 600,005 bytes at $0.15 per GB.
  assert.deepEqual(
    shop?.lines.map(({ meter, quantity, unit, costNanos }) => [meter, quantity, unit, costNanos]),
    [
      ['cpu', '0.001666667', 'core-hour', 166_667n],
      ['memory', '0.002236962', 'GB-hour', 111_848n],
      ['disk', '0.600000000', 'GB', 60_000_000n],
      ['network', '0.000600005', 'GB', 90_001n],
    ],
  );
  assert.equal(answer.totalCostNanos, 166_667n + 111_848n + 60_000_000n + 90_001n);
  assert.equal(answer.freshThrough && timestampMs(answer.freshThrough), Number(beatAt));
  assert.equal(answer.gaps.length, 1);
});

test('only metald brings usage and only gatewayd reads it', async () => {
  const denied = (error: unknown) => isIngotError(error, 'permission_denied');
  const reader = await clientOf(billing.BillingService, 'gatewayd');
  await assert.rejects(reader.sendMetricsBatch(batch(1, 2)), denied);
  const writer = await clientOf(billing.UsageService, 'metald');
  await assert.rejects(
    writer.queryUsage({ tenantId: 'acme', fromUnixMs: 0n, toUnixMs: 1n }),
    denied,
  );
});

test('a refused batch says why, over the wire', async () => {
  const metald = await clientOf(billing.BillingService, 'metald');
  const hole = metald.sendMetricsBatch(batch(700, 701));
  await assert.rejects(hole, (error) => {
    assert.ok(isIngotError(error, 'batch_out_of_order'));
    assert.equal(error.facts['storedThrough'], '600');
    return true;
  });
  const forged = { ...batch(601, 602), contentSha256: '0'.repeat(64) };
  await assert.rejects(metald.sendMetricsBatch(forged), (error) =>
    isIngotError(error, 'invalid_argument'),
  );
});
