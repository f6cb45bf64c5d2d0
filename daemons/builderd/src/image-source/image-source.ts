import type { Descriptor } from '../domain/image-manifest.ts';
import type { ImageReference } from '../domain/image-reference.ts';

/** A manifest or index, its bytes checked against its digest. */
export interface ManifestDocument {
  readonly digest: string;
  readonly mediaType: string;
  readonly bytes: Uint8Array;
}

/** Where images come from. */
export interface ImageSource {
  /** The connection to one image's repository, for one build. */
  open(reference: ImageReference, signal: AbortSignal): ImageRepository;
}

/**
 * One repository. Every call rejects with IngotError: image_not_found, registry_denied,
 * registry_unreachable, rate_limited, image_too_large or digest_mismatch.
 */
export interface ImageRepository {
  /** The manifest or index that a tag or digest stands for now. */
  fetchManifest(tagOrDigest: string): Promise<ManifestDocument>;
  /** A small blob whole, its digest and size checked. */
  fetchDocument(blob: Descriptor): Promise<Uint8Array>;
  /**
   * Hands a blob's bytes to `consume` as they arrive, unchecked; after a failure of the network it
   * starts again from the first byte with a new call of `consume`.
   */
  fetchBlob(
    blob: Descriptor,
    consume: (bytes: AsyncIterable<Uint8Array>) => Promise<void>,
  ): Promise<void>;
}
