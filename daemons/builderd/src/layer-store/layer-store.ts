import type { Descriptor } from '../domain/image-manifest.ts';
import type { LayerTar } from '../domain/layer-tar.ts';
import type { Content } from '../domain/layer-entry.ts';

/** Brings a blob's bytes from somewhere to `consume`, trying as often as makes sense. */
export type Download = (
  consume: (bytes: AsyncIterable<Uint8Array>) => Promise<void>,
) => Promise<void>;

/**
 * Layers on this host's disk: kept as they travelled, for images that share them, and unpacked
 * for one build. Nothing in here creates a file that a layer names.
 */
export interface LayerStore {
  /**
   * Makes sure that a layer is there whole, its digest and size checked. Layers are kept per
   * owner, so that knowing a digest is never enough to read another tenant's layer.
   *
   * @returns whether it had to be downloaded.
   * @throws IngotError digest_mismatch, disk_full, or as `download` does.
   */
  ensure(owner: string, blob: Descriptor, download: Download): Promise<boolean>;
  /**
   * Unpacks a layer that is there to an uncompressed tar at `path`, checking both digests.
   *
   * @throws IngotError digest_mismatch, image_malformed, image_too_large, disk_full.
   */
  unpack(
    owner: string,
    blob: Descriptor,
    target: { diffId: string; path: string; maxBytes: number },
    signal: AbortSignal,
  ): Promise<UnpackedLayer>;
  /** Forgets least recently used layers until the rest fits the bound. */
  trim(): Promise<void>;
}

/** An uncompressed layer on disk, open until closed. */
export interface UnpackedLayer extends LayerTar {
  readonly sizeBytes: number;
  content(content: Content): AsyncIterable<Uint8Array>;
  close(): Promise<void>;
}
