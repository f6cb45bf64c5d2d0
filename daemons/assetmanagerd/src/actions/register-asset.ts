import { IngotError } from '@ingot/daemon-kit';
import { type Asset, type AssetType, isSameRegistration, type Labels } from '../domain/asset.ts';
import { finishDeleting } from './delete-asset.ts';
import type { Surroundings } from './surroundings.ts';

export interface Registration {
  readonly name: string;
  readonly type: AssetType;
  readonly labels: Labels;
  /** Lower-case hex; undefined takes whatever the bytes are. */
  readonly expectedSha256: string | undefined;
  readonly idempotencyKey: string;
}

/** Where the bytes of a registration come from: a file of the inbox, or a stream. */
export type ByteSource =
  { readonly inboxFile: string } | { readonly read: () => AsyncIterable<Uint8Array> };

/**
 * Stores the bytes and the record of a new asset. The same idempotency key answers with the same
 * asset. When it rejects, nothing of the asset is there and the inbox file still is.
 *
 * @throws IngotError not_found or invalid_argument for the inbox file; digest_mismatch; disk_full;
 *   already_exists when the key was used for something else.
 */
export function registerAsset(
  registration: Registration,
  source: ByteSource,
  around: Surroundings,
): Promise<Asset> {
  const { idempotencyKey } = registration;
  return around.mutex.run(`key:${idempotencyKey}`, async () => {
    const known = await around.registry.findByKey(idempotencyKey, around.clock.now());
    if (known?.status === 'available') {
      return answerAgain(known, registration, source, around);
    }
    // An earlier try that could not clean up after itself.
    if (known?.status === 'writing') await abandon(known.id, around);
    if (known?.status === 'deleting') await finishDeleting(known.id, around);
    return storeNew(registration, source, around);
  });
}

async function answerAgain(
  known: Asset,
  wanted: Registration,
  source: ByteSource,
  around: Surroundings,
): Promise<Asset> {
  if (!isSameRegistration(known, wanted)) {
    throw new IngotError(
      'already_exists',
      `the idempotency key "${wanted.idempotencyKey}" was used for asset ${known.id}, which differs`,
      { remedy: 'use a new key for a new asset', facts: { assetId: known.id } },
    );
  }
  checkDigest(known.sha256, wanted.expectedSha256);
  await dropInboxFile(known.id, source, around);
  return known;
}

async function storeNew(
  { expectedSha256, ...registration }: Registration,
  source: ByteSource,
  around: Surroundings,
): Promise<Asset> {
  const { registry, store, clock } = around;
  const id = around.newId();
  const input = await openSource(source, around);
  try {
    const inboxFile = 'inboxFile' in source ? source.inboxFile : undefined;
    await registry.begin({ ...registration, id, inboxFile, createdAtMs: clock.now() });
    try {
      const stored = await store.write(id, input.bytes);
      checkDigest(stored.sha256, expectedSha256);
      await registry.commit(id, stored);
    } catch (error) {
      await abandon(id, around);
      throw error;
    }
  } finally {
    await input.close();
  }
  await dropInboxFile(id, source, around);
  const asset = await registry.find(id, clock.now());
  if (!asset) throw new Error(`asset ${id} is gone right after it was made`);
  around.logger.info(
    { assetId: id, type: asset.type, sizeBytes: asset.sizeBytes, sha256: asset.sha256 },
    'stored an asset',
  );
  return asset;
}

/** Takes back an asset that was never available. */
export async function abandon(id: string, { store, registry }: Surroundings): Promise<void> {
  await store.remove(id);
  await registry.forget(id);
}

function openSource(
  source: ByteSource,
  { inbox }: Surroundings,
): Promise<{ bytes: AsyncIterable<Uint8Array>; close(): Promise<void> }> {
  if ('inboxFile' in source) return inbox.open(source.inboxFile);
  return Promise.resolve({ bytes: source.read(), close: () => Promise.resolve() });
}

async function dropInboxFile(
  id: string,
  source: ByteSource,
  { inbox, registry }: Surroundings,
): Promise<void> {
  if (!('inboxFile' in source)) return;
  await inbox.remove(source.inboxFile);
  await registry.forgetInboxFile(id);
}

function checkDigest(sha256: string, expected: string | undefined): void {
  if (expected === undefined || expected === sha256) return;
  throw new IngotError(
    'digest_mismatch',
    `the bytes have the SHA-256 ${sha256}, not ${expected} as expected`,
    { remedy: 'write the file again and register it with the digest of its bytes' },
  );
}
