import type { Attributes, Content, EntryPath, EntryPlace, LayerEntry } from './layer-entry.ts';
import { badEntry } from './layer-entry.ts';

/** What is not a directory. Hard links are names that share one of these. */
export type Inode =
  | { readonly kind: 'file'; readonly attributes: Attributes; readonly content: Content }
  | { readonly kind: 'symlink'; readonly attributes: Attributes; readonly target: string }
  | { readonly kind: 'fifo'; readonly attributes: Attributes }
  | { readonly kind: 'device'; readonly attributes: Attributes };

export interface Directory {
  readonly kind: 'directory';
  attributes: Attributes;
  readonly children: Map<string, Inode | Directory>;
  readonly parent: Directory | undefined;
  /** 0 for the root. */
  readonly depth: number;
}

/** One name of the merged tree. */
export type TreeEntry =
  | { readonly path: string; readonly node: Exclude<Inode, { kind: 'device' }> | Directory }
  /** A further name of the file that came first at `linkTo`. */
  | { readonly path: string; readonly linkTo: string };

export interface LayerName {
  /** 1 is the lowest. */
  readonly number: number;
  readonly digest: string;
}

const impliedDirectory: Attributes = { mode: 0o755, uid: 0, gid: 0, mtime: 0, xattrs: new Map() };
// As Linux has it (MAXSYMLINKS in include/linux/namei.h).
const maxSymlinks = 40;
// Far beyond any real image; they keep a hostile one from eating the stack or the processor.
const maxDepth = 1024;
const maxSteps = 50_000_000;

/**
 * The file tree that the layers of an image make together. It lives in memory and holds no
 * bytes of files, only where they are.
 *
 * Parents that are symbolic links are followed inside the root, as they would be in a chroot.
 */
export class MergedTree {
  readonly root: Directory = {
    kind: 'directory',
    attributes: impliedDirectory,
    children: new Map(),
    parent: undefined,
    depth: 0,
  };
  #steps = 0;

  /**
   * Puts a layer on top. Its whiteouts and opaque markers hide only what lower layers brought,
   * wherever they stand in the layer; its other entries apply in their order, the last one of a
   * name winning.
   *
   * @throws IngotError image_malformed.
   */
  addLayer(layer: LayerName, entries: readonly LayerEntry[]): void {
    const placeOf = (entry: LayerEntry): EntryPlace => ({
      layerNumber: layer.number,
      layerDigest: layer.digest,
      entry: entry.path.join('/'),
    });
    // A hard link may point to what this very layer hides: remember it before it goes.
    const linked = new Map<LayerEntry, Inode | Directory | undefined>();
    const directories = new Set<string>();
    for (const entry of entries) {
      if (entry.kind === 'link') linked.set(entry, this.#lookup(entry.target, placeOf(entry)));
      if (entry.kind === 'directory') directories.add(entry.path.join('/'));
    }
    for (const entry of entries) {
      if (entry.kind === 'whiteout' || entry.kind === 'opaque') {
        this.#hide(entry, directories, placeOf(entry));
      }
    }
    for (const entry of entries) {
      if (entry.kind === 'whiteout' || entry.kind === 'opaque') continue;
      this.#put(entry, linked.get(entry), placeOf(entry));
    }
  }

  /** Adds an empty directory in the root unless the name leads to one. False: it is no directory. */
  ensureDirectory(name: string, mode: number): boolean {
    const place = { layerNumber: 0, layerDigest: 'mount points', entry: name };
    if (!this.root.children.has(name)) {
      this.root.children.set(
        name,
        this.#newDirectory(this.root, place, { ...impliedDirectory, mode }),
      );
    }
    return this.#resolve([name], place, { create: false }) !== undefined;
  }

  /**
   * Every name, parents before children and siblings in order, so that the same image gives the
   * same sequence. Devices are left out. The root comes first, with the path "".
   */
  *entries(): Generator<TreeEntry> {
    const firstNames = new Map<Inode, string>();
    const pending: [string, Inode | Directory][] = [['', this.root]];
    for (let next = pending.pop(); next; next = pending.pop()) {
      const [path, node] = next;
      if (node.kind === 'device') continue;
      if (node.kind !== 'directory') {
        const linkTo = firstNames.get(node);
        if (linkTo === undefined) firstNames.set(node, path);
        yield linkTo === undefined ? { path, node } : { path, linkTo };
        continue;
      }
      yield { path, node };
      const names = [...node.children.keys()].toSorted().toReversed();
      for (const name of names) {
        const child = node.children.get(name);
        if (child) pending.push([path === '' ? name : `${path}/${name}`, child]);
      }
    }
  }

  #hide(
    entry: Extract<LayerEntry, { kind: 'whiteout' | 'opaque' }>,
    directories: ReadonlySet<string>,
    place: EntryPlace,
  ): void {
    const holder = entry.kind === 'opaque' ? entry.path : entry.path.slice(0, -1);
    if (this.#isReplaced(holder, directories)) return;
    const directory = this.#resolve(holder, place, { create: false });
    if (entry.kind === 'opaque') directory?.children.clear();
    else directory?.children.delete(entry.path.at(-1) ?? '');
  }

  /** Whether this layer puts a directory where lower layers have a symbolic link on the way. */
  #isReplaced(path: EntryPath, directories: ReadonlySet<string>): boolean {
    let directory = this.root;
    for (const [index, name] of path.entries()) {
      const child = directory.children.get(name);
      if (child?.kind === 'symlink') return directories.has(path.slice(0, index + 1).join('/'));
      if (child?.kind !== 'directory') return false;
      directory = child;
    }
    return false;
  }

  #put(
    entry: Exclude<LayerEntry, { kind: 'whiteout' | 'opaque' }>,
    hidden: Inode | Directory | undefined,
    place: EntryPlace,
  ): void {
    const name = entry.path.at(-1);
    if (name === undefined) {
      if (entry.kind !== 'directory') badEntry(place, 'would replace the root directory');
      this.root.attributes = entry.attributes;
      return;
    }
    const parent = this.#resolve(entry.path.slice(0, -1), place, { create: true });
    if (!parent) return;
    if (entry.kind === 'directory') {
      const existing = parent.children.get(name);
      if (existing?.kind === 'directory') existing.attributes = entry.attributes;
      else parent.children.set(name, this.#newDirectory(parent, place, entry.attributes));
    } else if (entry.kind === 'link') {
      const target = this.#lookup(entry.target, place) ?? hidden;
      const shown = JSON.stringify(entry.target.join('/'));
      if (!target) badEntry(place, `is a hard link to ${shown}, which is not there`);
      if (target.kind === 'directory') badEntry(place, `is a hard link to the directory ${shown}`);
      parent.children.set(name, target);
    } else {
      parent.children.set(name, inodeOf(entry));
    }
  }

  #lookup(path: EntryPath, place: EntryPlace): Inode | Directory | undefined {
    const name = path.at(-1);
    if (name === undefined) return this.root;
    return this.#resolve(path.slice(0, -1), place, { create: false })?.children.get(name);
  }

  /**
   * Walks to a directory. Without `create`, undefined when it is not there; with it, missing
   * directories are made and anything else in the way is an error.
   */
  #resolve(path: EntryPath, place: EntryPlace, how: { create: boolean }): Directory | undefined {
    let directory = this.root;
    let symlinks = 0;
    const pending = path.toReversed();
    for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
      if (++this.#steps > maxSteps) badEntry(place, 'makes the layers too costly to merge');
      if (name === '' || name === '.') continue;
      if (name === '..') {
        directory = directory.parent ?? directory;
        continue;
      }
      const child = directory.children.get(name);
      if (child?.kind === 'directory') {
        directory = child;
      } else if (child?.kind === 'symlink') {
        if (++symlinks > maxSymlinks) badEntry(place, 'goes through too many symbolic links');
        if (child.target.startsWith('/')) directory = this.root;
        pending.push(...child.target.split('/').toReversed());
      } else if (!how.create) {
        return undefined;
      } else if (child) {
        badEntry(place, `lies below ${JSON.stringify(name)}, which is no directory`);
      } else {
        const made = this.#newDirectory(directory, place, impliedDirectory);
        directory.children.set(name, made);
        directory = made;
      }
    }
    return directory;
  }

  #newDirectory(parent: Directory, place: EntryPlace, attributes: Attributes): Directory {
    const depth = parent.depth + 1;
    if (depth > maxDepth) badEntry(place, `is more than ${maxDepth} directories deep`);
    return { kind: 'directory', attributes, children: new Map(), parent, depth };
  }
}

function inodeOf(
  entry: Extract<LayerEntry, { kind: 'file' | 'symlink' | 'fifo' | 'device' }>,
): Inode {
  const { attributes } = entry;
  if (entry.kind === 'file') return { kind: 'file', attributes, content: entry.content };
  if (entry.kind === 'symlink') return { kind: 'symlink', attributes, target: entry.target };
  return { kind: entry.kind, attributes };
}
