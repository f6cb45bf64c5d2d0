import type { Usage } from './usage.ts';

export type Meter = 'cpu' | 'memory' | 'disk' | 'network';

/** Price of one unit of each meter, in 10^-9 US dollars. */
export type Prices = Readonly<Record<Meter, bigint>>;

/**
 * CPU $0.10 per core-hour, memory $0.05 per GB-hour, disk $0.10 per GB read or written, network
 * $0.15 per GB in or out. Source: the default prices of the public Go implementation of this design.
 */
export const defaultPrices: Prices = {
  cpu: 100_000_000n,
  memory: 50_000_000n,
  disk: 100_000_000n,
  network: 150_000_000n,
};

/** One priced line of a deployment. */
export interface UsageLine {
  meter: Meter;
  /** In `unit`, rounded half to even to 9 decimals, for reading. The cost is not made from it. */
  quantity: string;
  unit: string;
  unitPriceNanos: bigint;
  costNanos: bigint;
}

export interface RatedUsage {
  lines: UsageLine[];
  /** The sum of the lines. */
  costNanos: bigint;
}

interface MeterRule {
  meter: Meter;
  unit: string;
  /** How many of the smallest units make one unit. A GB is 10^9 bytes (SI), an hour 3600 s. */
  perUnit: bigint;
  amount: (usage: Usage) => bigint;
}

const gb = 10n ** 9n;
const hourMs = 3_600_000n;
const hourNs = hourMs * 1_000_000n;

const rules: readonly MeterRule[] = [
  { meter: 'cpu', unit: 'core-hour', perUnit: hourNs, amount: (u) => u.cpuNs },
  { meter: 'memory', unit: 'GB-hour', perUnit: gb * hourMs, amount: (u) => u.memoryByteMs },
  { meter: 'disk', unit: 'GB', perUnit: gb, amount: (u) => u.diskReadBytes + u.diskWriteBytes },
  { meter: 'network', unit: 'GB', perUnit: gb, amount: (u) => u.netRxBytes + u.netTxBytes },
];

const quantityDigits = 9;

/**
 * Prices the usage of one deployment. Per meter
 *
 *     cost = roundHalfEven(amount × unitPriceNanos ÷ perUnit)
 *
 * in integers: the product is exact and the line is rounded once, to 10^-9 dollars. The lines add
 * up to the deployment's cost, and deployments to a total, without any further rounding.
 */
export function rateUsage(usage: Usage, prices: Prices): RatedUsage {
  const lines = rules.map(({ meter, unit, perUnit, amount }) => ({
    meter,
    unit,
    quantity: decimal(divideHalfEven(amount(usage) * 10n ** BigInt(quantityDigits), perUnit)),
    unitPriceNanos: prices[meter],
    costNanos: divideHalfEven(amount(usage) * prices[meter], perUnit),
  }));
  return { lines, costNanos: lines.reduce((sum, line) => sum + line.costNanos, 0n) };
}

/**
 * The integer nearest to dividend ÷ divisor; of two equally near ones the even (IEEE 754-2019,
 * 4.3.1 roundTiesToEven), which favours neither side over many lines.
 *
 * @param dividend - not negative.
 * @param divisor - positive.
 */
export function divideHalfEven(dividend: bigint, divisor: bigint): bigint {
  const quotient = dividend / divisor;
  const twice = (dividend % divisor) * 2n;
  const up = twice > divisor || (twice === divisor && quotient % 2n === 1n);
  return up ? quotient + 1n : quotient;
}

function decimal(scaled: bigint): string {
  const digits = scaled.toString().padStart(quantityDigits + 1, '0');
  return `${digits.slice(0, -quantityDigits)}.${digits.slice(-quantityDigits)}`;
}
