import { z } from 'zod';

const shape = z.object({
  kernel: z.object({ version: z.string().max(512) }).optional(),
  files: z.record(z.string(), z.string()).default({}),
});

/** What is read of the manifest.json beside the guest's kernel and initrd. */
export interface GuestManifest {
  /** Of the kernel package; "" when the manifest does not say. */
  readonly version: string;
  /** SHA-256 of the files, by name. */
  readonly files: Readonly<Record<string, string>>;
}

/** Reads a manifest. Throws when it is not JSON of its shape. */
export function parseGuestManifest(text: string): GuestManifest {
  const { kernel, files } = shape.parse(JSON.parse(text));
  return { version: kernel?.version ?? '', files };
}
