const nanosPerDollar = 1_000_000_000n;

/**
 * An exact amount of US dollars: to the cent, with the digits below a cent where there are any.
 *
 * @param nanos - integer of 10^-9 dollars.
 */
export function formatMoney(nanos: bigint): string {
  const sign = nanos < 0n ? '-' : '';
  const amount = nanos < 0n ? -nanos : nanos;
  const dollars = (amount / nanosPerDollar).toString().replace(/\B(?=(\d{3})+$)/g, ',');
  const fraction = (amount % nanosPerDollar).toString().padStart(9, '0');
  return `${sign}$${dollars}.${fraction.slice(0, 2)}${fraction.slice(2).replace(/0+$/, '')}`;
}
