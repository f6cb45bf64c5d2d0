import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dir, file, hardLink, opaque, type TarEntry, whiteout, writeTar } from '@ingot/testkit';
import * as fc from 'fast-check';
import type { LayerTar } from './layer-tar.ts';
import { mergeLayers } from './merge-layers.ts';
import { writeTar as writeMerged } from './write-tar.ts';

async function layerOf(entries: readonly TarEntry[], digest = 'sha256:x'): Promise<LayerTar> {
  const tar = await writeTar(entries);
  return {
    digest,
    stream: async function* () {
      yield tar;
    },
    read: async (offset, length) => tar.subarray(offset, offset + length),
  };
}

/** The merged tree as "path" → content, "/" for a directory; mount points left out. */
async function merge(layers: readonly (readonly TarEntry[])[]): Promise<Map<string, string>> {
  const tars = await Promise.all(layers.map((entries) => layerOf(entries)));
  const tree = await mergeLayers(tars, { maxEntries: 10_000 });
  const found = new Map<string, string>();
  const mounts = ['', 'proc', 'sys', 'dev', 'run', 'tmp', 'etc'];
  for (const entry of tree.entries()) {
    if (mounts.includes(entry.path)) continue;
    if ('linkTo' in entry) found.set(entry.path, found.get(entry.linkTo) ?? 'dangling');
    else if (entry.node.kind === 'directory') found.set(entry.path, '/');
    else if (entry.node.kind === 'file') {
      const { layer, offset, size } = entry.node.content;
      const bytes = await tars[layer]?.read(offset, size);
      found.set(entry.path, bytes?.toString() ?? 'nowhere');
    }
  }
  return found;
}

/** The rules of the image specification, as slow and plain as can be: a map from path to content. */
function mergeNaively(layers: readonly (readonly TarEntry[])[]): Map<string, string> {
  const tree = new Map<string, string>();
  const removeBelow = (path: string): void => {
    for (const key of [...tree.keys()]) if (key.startsWith(`${path}/`)) tree.delete(key);
  };
  const remove = (path: string): void => {
    tree.delete(path);
    removeBelow(path);
  };
  for (const layer of layers) {
    const before = new Map(tree);
    for (const { name } of layer) {
      const [folder, base] = [name.slice(0, name.lastIndexOf('/')), name.split('/').at(-1) ?? ''];
      if (base === '.wh..wh..opq') removeBelow(folder);
      else if (base.startsWith('.wh.')) {
        remove([...name.split('/').slice(0, -1), base.slice(4)].join('/'));
      }
    }
    for (const { name, type, content, linkname = '' } of layer) {
      if (name.includes('.wh.')) continue;
      const parts = name.split('/');
      for (let depth = 1; depth < parts.length; depth++)
        tree.set(parts.slice(0, depth).join('/'), '/');
      if (type === 'directory') {
        if (tree.get(name) !== '/') remove(name);
        tree.set(name, '/');
        continue;
      }
      const text =
        type === 'link' ? (tree.get(linkname) ?? before.get(linkname) ?? '') : String(content);
      remove(name);
      tree.set(name, text);
    }
  }
  return tree;
}

// Directories are named d…, files f…: then no file ever stands where a path needs a directory, and
// every name can still be replaced by its own kind, hidden, and linked to.
const names = ['1', '2', '3'];
const folder = fc
  .array(fc.constantFrom(...names), { minLength: 1, maxLength: 3 })
  .map((parts) => parts.map((part) => `d${part}`).join('/'));
const filePath = fc
  .tuple(fc.option(folder, { nil: '' }), fc.constantFrom(...names))
  .map(([parent, name]) => `${parent}${parent === '' ? '' : '/'}f${name}`);
const entry = fc.oneof(
  { weight: 5, arbitrary: fc.tuple(filePath, fc.string()).map(([path, text]) => file(path, text)) },
  { weight: 2, arbitrary: folder.map((path) => dir(path)) },
  { weight: 2, arbitrary: fc.oneof(filePath, folder).map(whiteout) },
  { weight: 1, arbitrary: folder.map(opaque) },
  { weight: 2, arbitrary: fc.tuple(filePath, filePath).map(([path, to]) => hardLink(path, to)) },
);

/** Leaves out hard links to what is not there: those are an error, tested elsewhere. */
function withoutDangling(layers: readonly TarEntry[][]): TarEntry[][] {
  const kept: TarEntry[][] = [];
  for (const layer of layers) {
    const below = mergeNaively(kept);
    const own: TarEntry[] = [];
    kept.push(own);
    for (const item of layer) {
      const there =
        item.type !== 'link' ||
        below.has(item.linkname ?? '') ||
        own.some(({ name }) => name === item.linkname);
      if (there) own.push(item);
    }
  }
  return kept;
}

test('merging agrees with a plain reading of the specification', async () => {
  const layers = fc.array(fc.array(entry, { maxLength: 12 }), { minLength: 1, maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(layers.map(withoutDangling), async (input) => {
      const expected = [...mergeNaively(input)].toSorted(([a], [b]) => (a < b ? -1 : 1));
      const merged = [...(await merge(input))].toSorted(([a], [b]) => (a < b ? -1 : 1));
      assert.deepEqual(merged, expected);
    }),
    { numRuns: 300 },
  );
});

test('a directory entry may replace a file and the reverse, in one layer or over layers', async () => {
  const found = await merge([
    [file('a', 'x'), dir('b'), file('b/c')],
    [dir('a'), file('a/in', 'y'), file('b', 'z')],
  ]);
  assert.deepEqual(Object.fromEntries(found), { a: '/', 'a/in': 'y', b: 'z' });
});

test('devices are left out, and hide what they replace', async () => {
  const device: TarEntry = { name: 'x', type: 'character-device', devmajor: 1, devminor: 3 };
  assert.deepEqual([...(await merge([[file('x'), file('y', '1')], [device]])).keys()], ['y']);
});

test('a mount point that is a file is refused', async () => {
  await assert.rejects(merge([[file('proc')]]), /\/proc is not a directory/);
});

test('the same layers give the same archive, in order, with long and foreign names', async () => {
  const entries = [
    file('z'),
    file(`${'deep/'.repeat(50)}é`, 'x', {
      mtime: 1_700_000_000,
      pax: { 'SCHILY.xattr.user.k': 'ü' },
    }),
    dir('a', { pax: { 'SCHILY.xattr.trusted.overlay.opaque': 'y' } }),
  ];
  const write = async (): Promise<Buffer> => {
    const layer = await layerOf(entries);
    const tree = await mergeLayers([layer], { maxEntries: 100 });
    const chunks: Uint8Array[] = [];
    const read = async function* (content: { offset: number; size: number }) {
      yield await layer.read(content.offset, content.size);
    };
    for await (const chunk of writeMerged(tree, read)) chunks.push(chunk);
    return Buffer.concat(chunks);
  };
  const [one, two] = [await write(), await write()];
  assert.deepEqual(one, two);
  // What was written reads back as the same tree.
  const again = await mergeLayers(
    [
      {
        ...(await layerOf([])),
        stream: async function* () {
          yield one;
        },
        read: async (o, l) => one.subarray(o, o + l),
      },
    ],
    { maxEntries: 1000 },
  );
  const long = [...again.entries()].find(({ path }) => path.endsWith('/é'));
  assert.ok(long && 'node' in long);
  assert.equal(long.node.attributes.mtime, 1_700_000_000);
  assert.deepEqual([...long.node.attributes.xattrs], [['user.k', Buffer.from('ü')]]);
  const a = [...again.entries()].find(({ path }) => path === 'a');
  assert.ok(a && 'node' in a);
  assert.equal(a.node.attributes.xattrs.size, 0, 'trusted.* never reaches the guest');
});

test('what the tree keeps in memory is bounded, whatever the number of entries', async () => {
  const tar = await writeTar([
    file('f', Buffer.alloc(0), { pax: { 'SCHILY.xattr.user.x': 'x'.repeat(4_000_000) } }),
  ]);
  // Without the two empty blocks that end an archive.
  const large = tar.subarray(0, 512 + 4_000_768 + 512);
  const layer: LayerTar = {
    digest: 'sha256:x',
    stream: async function* () {
      for (let count = 0; count < 100; count++) yield large;
    },
    read: () => assert.fail('it is not read'),
  };
  await assert.rejects(mergeLayers([layer], { maxEntries: 500_000 }), {
    reason: 'image_too_large',
  });
});
