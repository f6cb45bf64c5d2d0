import type { GuestManifest } from '../domain/guest-manifest.ts';

export interface GuestFile {
  /** Lower-case hex of the bytes as they are now. */
  readonly sha256: string;
  /** Streams the file from its beginning. */
  readonly read: () => AsyncIterable<Uint8Array>;
}

export type GuestFileName = 'vmlinux' | 'initrd';

/** Where the kernel and the initrd of this installation come from. */
export interface GuestSource {
  /** Text that changes when a file is made anew or comes and goes. */
  fingerprint(): Promise<string>;
  manifest(): Promise<GuestManifest>;
  /** @throws IngotError not_found saying which file is missing and how to make it. */
  open(name: GuestFileName): Promise<GuestFile>;
}
