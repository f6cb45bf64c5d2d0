import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { isIngotError } from '@ingot/daemon-kit';
import { malformed } from '../domain/image-manifest.ts';
import { mergeLayers } from '../domain/merge-layers.ts';
import { writeTar } from '../domain/write-tar.ts';
import type { ImageRepository } from '../image-source/image-source.ts';
import type { UnpackedLayer } from '../layer-store/layer-store.ts';
import type { Rootfs } from '../rootfs-writer/rootfs-writer.ts';
import type { BuildContext } from './build-context.ts';
import type { BuildJournal } from './build-journal.ts';
import type { ResolvedImage } from './resolve-image.ts';

interface Pulled {
  readonly tenantId: string;
  readonly image: ResolvedImage;
  readonly repository: ImageRepository;
}

type Context = Pick<BuildContext, 'layers' | 'policy' | 'rootfs'>;

/** Downloads the layers that are not here yet. @throws IngotError as LayerStore.ensure does */
export async function pullLayers(
  { layers }: Context,
  journal: BuildJournal,
  { tenantId, image, repository }: Pulled,
): Promise<void> {
  const count = image.manifest.layers.length;
  for (const [index, blob] of image.manifest.layers.entries()) {
    const downloaded = await layers.ensure(tenantId, blob, (consume) =>
      repository.fetchBlob(blob, consume),
    );
    const how = downloaded ? `pulled, ${blob.size} bytes` : 'already here';
    await journal.log(`layer ${index + 1} of ${count} ${blob.digest}: ${how}`);
  }
}

/**
 * Merges the pulled layers and writes them as one squashfs below `dir`.
 *
 * @throws IngotError layer_escapes_root, image_malformed, image_too_large, digest_mismatch, and
 *   what the writer throws.
 */
export async function writeRootfs(
  context: Context,
  journal: BuildJournal,
  pulled: Pulled,
  dir: string,
  signal: AbortSignal,
): Promise<Rootfs> {
  const unpacked: UnpackedLayer[] = [];
  try {
    await unpackLayers(context, pulled, dir, signal, unpacked);
    const tree = await mergeLayers(unpacked, context.policy);
    await journal.log(`${unpacked.length} layers merged`);
    const outputDir = join(dir, 'out');
    await mkdir(outputDir);
    const tar = writeTar(tree, (content) => {
      const layer = unpacked[content.layer];
      return layer ? layer.content(content) : malformed('a file of it has no layer');
    });
    const rootfs = await context.rootfs.write(tar, outputDir, signal);
    await journal.log(`squashfs of ${rootfs.sizeBytes} bytes, sha256 ${rootfs.sha256}`);
    return rootfs;
  } finally {
    await Promise.all(unpacked.map((layer) => layer.close()));
  }
}

async function unpackLayers(
  { layers, policy }: Context,
  { tenantId, image, repository }: Pulled,
  dir: string,
  signal: AbortSignal,
  unpacked: UnpackedLayer[],
): Promise<void> {
  let left = policy.maxUnpackedBytes;
  for (const [index, blob] of image.manifest.layers.entries()) {
    const diffId = image.config.diffIds[index] ?? malformed('a layer of it is not described');
    const target = { diffId, path: join(dir, `layer-${index}.tar`), maxBytes: left };
    const unpack = () => layers.unpack(tenantId, blob, target, signal);
    const layer = await unpack().catch(async (error: unknown) => {
      // A stored copy can rot; the store has removed it, so one fresh download decides.
      if (!isIngotError(error, 'digest_mismatch')) throw error;
      const download = await layers.ensure(tenantId, blob, (consume) =>
        repository.fetchBlob(blob, consume),
      );
      if (!download) throw error;
      return unpack();
    });
    unpacked.push(layer);
    left -= layer.sizeBytes;
  }
}
