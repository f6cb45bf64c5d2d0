import { type ImageConfig, parseImageConfig } from '../domain/image-config.ts';
import {
  type ImageManifest,
  malformed,
  parseManifest,
  selectPlatform,
} from '../domain/image-manifest.ts';
import { checkManifest } from '../domain/policy.ts';
import type { ImageRepository, ManifestDocument } from '../image-source/image-source.ts';
import type { BuildContext } from './build-context.ts';

/** What has to be pulled for this host, within policy. */
export interface ResolvedImage {
  readonly manifest: ImageManifest;
  readonly config: ImageConfig;
}

/**
 * From what a tag stands for to the manifest and configuration for this host's CPU.
 *
 * @throws IngotError image_wrong_platform, image_malformed, image_too_large, image_no_command, and
 *   what the repository throws.
 */
export async function resolveImage(
  { policy, architecture }: Pick<BuildContext, 'policy' | 'architecture'>,
  repository: ImageRepository,
  document: ManifestDocument,
): Promise<ResolvedImage> {
  let manifest = parseManifest(document.bytes, document.mediaType);
  if (manifest.kind === 'index') {
    const { digest } = selectPlatform(manifest, architecture);
    const chosen = await repository.fetchManifest(digest);
    manifest = parseManifest(chosen.bytes, chosen.mediaType);
    if (manifest.kind === 'index') malformed('its index leads to another index');
  }
  checkManifest(manifest, policy);
  const bytes = await repository.fetchDocument(manifest.config);
  const layerCount = manifest.layers.length;
  return { manifest, config: parseImageConfig(bytes, { architecture, layerCount }) };
}
