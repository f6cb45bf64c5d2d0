import type { LayerEntry } from './layer-entry.ts';
import { malformed } from './image-manifest.ts';
import { MergedTree } from './merged-tree.ts';
import type { BuildPolicy } from './policy.ts';
import { tooLarge } from './policy.ts';
import type { LayerTar } from './layer-tar.ts';
import { readLayer } from './read-layer.ts';

/**
 * Directories that the guest's PID 1 mounts on or writes to before it starts the app; an image
 * such as one from scratch need not have them. Modes as on any Linux system.
 */
const mountPoints: readonly (readonly [name: string, mode: number])[] = [
  ['proc', 0o555],
  ['sys', 0o555],
  ['dev', 0o755],
  ['run', 0o755],
  ['tmp', 0o1777],
  ['etc', 0o755],
];

/**
 * The tree is kept in memory: all names, link targets and extended attributes together. Half a
 * million files of a common length of path need some 50 MB.
 */
const maxTreeBytes = 256 * 1024 * 1024;

/**
 * Merges layers, the lowest first, and adds the guest's mount points.
 *
 * @throws IngotError layer_escapes_root, image_malformed, image_too_large.
 */
export async function mergeLayers(
  layers: readonly LayerTar[],
  policy: Pick<BuildPolicy, 'maxEntries'>,
): Promise<MergedTree> {
  const tree = new MergedTree();
  let count = 0;
  let treeBytes = 0;
  for (const [index, layer] of layers.entries()) {
    const entries: LayerEntry[] = [];
    for await (const entry of readLayer(layer, index)) {
      if (++count > policy.maxEntries) {
        tooLarge(`it has more than ${policy.maxEntries} entries`, 'maxEntries');
      }
      treeBytes += weightOf(entry);
      if (treeBytes > maxTreeBytes) {
        tooLarge(`its names and attributes have more than ${maxTreeBytes} bytes`);
      }
      entries.push(entry);
    }
    tree.addLayer({ number: index + 1, digest: layer.digest }, entries);
  }
  for (const [name, mode] of mountPoints) {
    if (!tree.ensureDirectory(name, mode)) malformed(`its /${name} is not a directory`);
  }
  return tree;
}

function weightOf(entry: LayerEntry): number {
  let bytes = entry.path.join('/').length;
  if (entry.kind === 'symlink') bytes += entry.target.length;
  if ('attributes' in entry) {
    for (const [name, value] of entry.attributes.xattrs) bytes += name.length + value.length;
  }
  return bytes;
}
