import type { GuestSource } from '../guest-source/guest-source.ts';
import { registerAsset } from './register-asset.ts';
import type { Surroundings } from './surroundings.ts';

const guestFiles = [
  { name: 'vmlinux', type: 'kernel' },
  { name: 'initrd', type: 'initrd' },
] as const;

/**
 * Registers the guest's kernel and initrd, unless their bytes are assets already, and makes the two
 * the defaults together: a kernel with another's modules would not boot.
 *
 * @throws IngotError not_found for a missing file; digest_mismatch against the manifest; disk_full
 */
export async function importGuestAssets(guest: GuestSource, around: Surroundings): Promise<void> {
  const { version, files } = await guest.manifest();
  const ids: string[] = [];
  for (const { name, type } of guestFiles) {
    const { sha256, read } = await guest.open(name);
    const registration = {
      name: `guest-${name}`,
      type,
      labels: { source_type: 'guest', version },
      expectedSha256: files[name] ?? sha256,
      idempotencyKey: `guest/${name}/${version}/${sha256}`,
    };
    ids.push((await registerAsset(registration, { read }, around)).id);
  }
  await around.registry.makeDefault(ids);
}
