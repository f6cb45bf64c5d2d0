import { IngotError } from '@ingot/daemon-kit';
import type { ImageManifest } from './image-manifest.ts';

/** What a build may cost this host. Sizes in bytes. */
export interface BuildPolicy {
  readonly maxLayers: number;
  /** One layer as it travels. */
  readonly maxLayerBytes: number;
  /** All layers as they travel. */
  readonly maxImageBytes: number;
  /** All layers unpacked; a bomb ends here. */
  readonly maxUnpackedBytes: number;
  /** Files, directories and links in all layers together. */
  readonly maxEntries: number;
}

/** Manifests and configurations are read whole; distribution allows 4 MiB of manifest. */
export const maxDocumentBytes = 4 * 1024 * 1024;

/** @throws IngotError image_too_large before a byte of a layer is fetched. */
export function checkManifest(manifest: ImageManifest, policy: BuildPolicy): void {
  const { layers, config } = manifest;
  if (layers.length > policy.maxLayers) {
    tooLarge(`it has ${layers.length} layers, more than ${policy.maxLayers}`, 'maxLayers');
  }
  if (config.size > maxDocumentBytes) {
    tooLarge(`its configuration has ${config.size} bytes, more than ${maxDocumentBytes}`);
  }
  for (const [index, { size }] of layers.entries()) {
    if (size <= policy.maxLayerBytes) continue;
    const limit = `more than ${policy.maxLayerBytes}`;
    tooLarge(`layer ${index + 1} has ${size} bytes, ${limit}`, 'maxLayerBytes');
  }
  const total = layers.reduce((sum, { size }) => sum + size, 0);
  if (total > policy.maxImageBytes) {
    tooLarge(`its layers have ${total} bytes, more than ${policy.maxImageBytes}`, 'maxImageBytes');
  }
}

/** @throws IngotError image_too_large, always. */
export function tooLarge(why: string, setting?: keyof BuildPolicy): never {
  const raise = setting === undefined ? '' : `, or have the operator raise builderd's ${setting}`;
  throw new IngotError('image_too_large', `the image is too large: ${why}`, {
    remedy: `make the image smaller${raise}`,
  });
}
