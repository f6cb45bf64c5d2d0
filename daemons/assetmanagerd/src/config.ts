import { fileURLToPath } from 'node:url';
import { z } from 'zod';

const repository = fileURLToPath(new URL('../../../', import.meta.url));
const day = 24 * 60 * 60;
/** Longest time a Node timer can wait, in seconds. */
const longestWait = 2_147_483;

/** assetmanagerd's section of ingot.yaml. */
export const assetmanagerdSchema = z.object({
  listen: z.string().default('127.0.0.1:8083'),
  /** Shared with builderd; `assetmanagerd/inbox` in the data directory unless given. */
  inboxDir: z.string().min(1).optional(),
  /** Where `guest/build` leaves vmlinux, initrd and manifest.json. */
  guestDir: z.string().min(1).default(`${repository}.cache/guest`),
  /** How often garbage is collected. */
  gcEverySeconds: z.number().int().positive().max(longestWait).default(3600),
  /** Assets that nobody leases are collected this long after their last use. */
  gcMaxAgeSeconds: z
    .number()
    .int()
    .nonnegative()
    .default(7 * day),
  /** How late a lease that has run out may be taken back. */
  leaseCheckSeconds: z.number().int().positive().max(longestWait).default(10),
  /** With less room than this the daemon says it is not ready. */
  minFreeBytes: z
    .number()
    .int()
    .nonnegative()
    .default(512 * 1024 * 1024),
});

export type AssetmanagerdSettings = Readonly<z.infer<typeof assetmanagerdSchema>>;
