import { z } from 'zod';
import { defaultPrices } from './domain/rating.ts';

const nanos = (fallback: bigint) =>
  z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER).default(Number(fallback));

/** billaged's section of ingot.yaml. Prices are in 10^-9 US dollars. */
export const billagedSchema = z.object({
  listen: z.string().default('127.0.0.1:8081'),
  /** Per core-hour of CPU time. */
  cpuPriceNanos: nanos(defaultPrices.cpu),
  /** Per GB-hour of reserved memory; a GB is 10^9 bytes. */
  memoryPriceNanos: nanos(defaultPrices.memory),
  /** Per GB read from or written to disk. */
  diskPriceNanos: nanos(defaultPrices.disk),
  /** Per GB received or sent. */
  networkPriceNanos: nanos(defaultPrices.network),
});

export type BillagedSettings = Readonly<z.infer<typeof billagedSchema>>;
