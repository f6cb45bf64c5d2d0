import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { defaultPrices, divideHalfEven, rateUsage } from './rating.ts';
import { noUsage, type Usage } from './usage.ts';

const amount = fc.bigInt({ min: 0n, max: 2n ** 80n });
const usages: fc.Arbitrary<Usage> = fc.record({
  cpuNs: amount,
  memoryByteMs: amount,
  vmMs: amount,
  diskReadBytes: amount,
  diskWriteBytes: amount,
  netRxBytes: amount,
  netTxBytes: amount,
  samples: amount,
});

test('one unit of each meter costs its price', () => {
  const { lines, costNanos } = rateUsage(
    {
      ...noUsage,
      cpuNs: 3_600_000_000_000n,
      memoryByteMs: 1_000_000_000n * 3_600_000n,
      diskReadBytes: 400_000_000n,
      diskWriteBytes: 600_000_000n,
      netRxBytes: 999_999_999n,
      netTxBytes: 1n,
    },
    defaultPrices,
  );
  assert.deepEqual(
    lines.map(({ quantity, unit, costNanos: cost }) => [quantity, unit, cost]),
    [
      ['1.000000000', 'core-hour', 100_000_000n],
      ['1.000000000', 'GB-hour', 50_000_000n],
      ['1.000000000', 'GB', 100_000_000n],
      ['1.000000000', 'GB', 150_000_000n],
    ],
  );
  assert.equal(costNanos, 400_000_000n);
});

test('nothing costs nothing', () => {
  const { lines, costNanos } = rateUsage(noUsage, defaultPrices);
  assert.equal(costNanos, 0n);
  assert.ok(lines.every(({ quantity }) => quantity === '0.000000000'));
});

test('halves go to the even side', () => {
  const halves = [1n, 3n, 5n, 7n].map((n) => divideHalfEven(n, 2n));
  assert.deepEqual(halves, [0n, 2n, 2n, 4n]);
  assert.deepEqual(
    [4n, 5n, 6n].map((n) => divideHalfEven(n, 10n)),
    [0n, 0n, 1n],
  );
});

test('a line is off by at most half of 10^-9 dollars, and lines add up to the cost', () => {
  fc.assert(
    fc.property(usages, (usage) => {
      const { lines, costNanos } = rateUsage(usage, defaultPrices);
      assert.equal(
        costNanos,
        lines.reduce((sum, line) => sum + line.costNanos, 0n),
      );
      const exact = usage.cpuNs * defaultPrices.cpu;
      const off = lines[0]!.costNanos * 3_600_000_000_000n - exact;
      assert.ok(off <= 1_800_000_000_000n && off >= -1_800_000_000_000n);
    }),
  );
});
