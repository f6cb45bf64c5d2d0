import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { gateway } from '@ingot/contracts';
import { startFakeGateway } from '../test/fake-gateway.ts';
import { ingot } from '../test/test-context.ts';
import { parseInstant } from './usage.ts';

const day = 86_400_000;

function answer(): gateway.GetUsageResponse {
  return create(gateway.GetUsageResponseSchema, {
    fromUnixMs: BigInt(Date.UTC(2026, 9, 1)),
    toUnixMs: BigInt(Date.UTC(2026, 10, 1)),
    totalCostNanos: 9_007_199_254_740_993n,
    freshThrough: timestampFromMs(Date.UTC(2026, 9, 31, 23, 59)),
    deployments: [
      {
        name: 'shop',
        usage: {
          deploymentId: 'd',
          costNanos: 9_007_199_254_740_993n,
          usage: { vmMs: 720_000n, samples: 7200n },
          lines: [
            {
              meter: 'cpu',
              quantity: '0.012345',
              unit: 'core-hour',
              unitPriceNanos: 100_000_000n,
              costNanos: 1_234_500n,
            },
          ],
        },
      },
    ],
    gaps: [
      {
        vmId: 'v1',
        fromUnixMs: BigInt(Date.UTC(2026, 9, 2)),
        toUnixMs: BigInt(Date.UTC(2026, 9, 2) + 3000),
        cause: 'metald_down',
      },
    ],
  });
}

test('usage shows exact quantities and costs, how fresh it is, and what was not measured', async () => {
  const asked: gateway.GetUsageRequest[] = [];
  const fake = await startFakeGateway({
    usage: {
      getUsage: (request) => {
        asked.push(request);
        return answer();
      },
    },
  });
  const env = { INGOT_URL: fake.url, INGOT_KEY: 'k' };
  const plain = await ingot(['usage', 'shop', '--from', '2026-10-01', '--to', '2026-11-01'], env);
  const json = await ingot(['usage', '--json'], env);
  await fake.close();
  assert.equal(plain.code, 0, plain.err);
  assert.match(plain.out, /shop +cpu +0\.012345 +core-hour +\$0\.10 +\$0\.0012345\n/);
  assert.match(plain.out, /total +\$9,007,199\.254740993\n/);
  assert.match(plain.out, /fresh through 2026-10-31 23:59:00 UTC/);
  assert.match(
    plain.out,
    /! not measured: 2026-10-02 00:00:00 UTC, 3\.0 s of VM v1 \(metald_down\)/,
  );
  assert.equal(asked[0]?.fromUnixMs, BigInt(Date.UTC(2026, 9, 1)));
  assert.equal(asked[0]?.name, 'shop');
  assert.equal(asked[1]?.toUnixMs, 0n);
  const parsed = JSON.parse(json.out) as { totalCostNanos: string };
  assert.equal(parsed.totalCostNanos, '9007199254740993');
});

test('times are UTC, or how long ago', () => {
  const now = Date.UTC(2026, 9, 8, 12);
  assert.equal(parseInstant('2026-10-01')(now), Date.UTC(2026, 9, 1));
  assert.equal(parseInstant('2026-10-01T08:00')(now), Date.UTC(2026, 9, 1, 8));
  assert.equal(parseInstant('2026-10-01T08:00+02:00')(now), Date.UTC(2026, 9, 1, 6));
  assert.equal(parseInstant('7d')(now), now - 7 * day);
  assert.equal(parseInstant('now')(now), now);
  assert.throws(() => parseInstant('2026-13-01'), /ISO 8601/);
});
