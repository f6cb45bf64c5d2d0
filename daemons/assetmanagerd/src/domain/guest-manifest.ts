import { z } from 'zod';

/** What is read of the manifest.json beside the guest's kernel and initrd; the rest is ignored. */
const guestManifest = z.object({
  /** Of the guest as a whole, such as the kernel package's. */
  version: z.string().max(512).default(''),
  /** SHA-256 of the files, by name. */
  files: z.record(z.string(), z.string()).default({}),
});

export type GuestManifest = z.infer<typeof guestManifest>;

/** Reads a manifest. Throws when it is not JSON of that shape. */
export function parseGuestManifest(text: string): GuestManifest {
  return guestManifest.parse(JSON.parse(text));
}
