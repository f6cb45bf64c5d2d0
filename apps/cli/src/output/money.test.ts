import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assert as check, bigInt, property } from 'fast-check';
import { formatMoney } from './money.ts';

test('money is shown to the cent, and below it only where there is something', () => {
  assert.equal(formatMoney(0n), '$0.00');
  assert.equal(formatMoney(10_000_000n), '$0.01');
  assert.equal(formatMoney(1_234_567_890_000_000n), '$1,234,567.89');
  assert.equal(formatMoney(123n), '$0.000000123');
  assert.equal(formatMoney(1_500_000n), '$0.0015');
  assert.equal(formatMoney(-2_500_000_000n), '-$2.50');
});

test('no amount loses a digit, however large', () => {
  check(
    property(bigInt(-(2n ** 63n), 2n ** 63n - 1n), (nanos) => {
      const text = formatMoney(nanos).replaceAll(/[$,]/g, '');
      const [dollars = '', fraction = ''] = text.replace('-', '').split('.');
      const back = BigInt(dollars) * 1_000_000_000n + BigInt(fraction.padEnd(9, '0'));
      assert.equal(text.startsWith('-') ? -back : back, nanos);
      assert.ok(fraction.length >= 2);
    }),
  );
});
