import { fileURLToPath } from 'node:url';
import { z } from 'zod';

const repository = fileURLToPath(new URL('../../../', import.meta.url));
const milliseconds = z.int().positive();

/** Settings of metald: section `metald` of ingot.yaml, or INGOT_METALD_*. */
export const settingsSchema = z.object({
  listen: z.string().default('127.0.0.1:8084'),
  assetmanagerdUrl: z.url().default('https://127.0.0.1:8083'),
  billagedUrl: z.url().default('https://127.0.0.1:8081'),
  /** Name or path of QEMU's program. */
  qemuProgram: z.string().min(1).default('qemu-system-x86_64'),
  /** "auto" takes KVM where a guest is seen to run under it. */
  accelerator: z.enum(['auto', 'kvm', 'tcg']).default('auto'),
  /** Where `guest/build` leaves vmlinux and initrd: what the probe for KVM boots. */
  guestDir: z.string().min(1).default(`${repository}.cache/guest`),
  /** A console file larger than this is kept once as console.log.1 and starts anew. */
  consoleMaxBytes: z
    .int()
    .min(65_536)
    .default(16 * 1024 * 1024),
  /** How often usage is sent to billaged. */
  batchIntervalMs: milliseconds.default(60_000),
  /** VMs this host can have at once: network slots. */
  networkSlots: z.int().min(1).max(16_384).default(256),
  /** Unused network slots kept ready. */
  spareNetworkSlots: z.int().min(0).max(64).default(4),
  /** IPv4 range of the host's side of the slots; chosen and kept when left out. */
  networkSubnet: z.cidrv4().optional(),
  /** Name servers of the guests; the host's own when left out. */
  nameservers: z.array(z.ipv4()).max(3).optional(),
  /** The VMM in network slot n runs as user and group uidBase + n. */
  uidBase: z.int().min(1_000).max(2_000_000_000).default(700_000),
  /** How long assetmanagerd keeps what a VM needs when metald no longer renews it. */
  leaseSeconds: z.int().min(60).max(86_400).default(3_600),
  /** How long a deleted VM is remembered, and how many of them at most. */
  deletedKeptSeconds: z.int().min(0).default(86_400),
  deletedKept: z.int().min(0).default(1_000),
});

export type MetaldSettings = Readonly<z.infer<typeof settingsSchema>>;
