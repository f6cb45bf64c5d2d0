/**
 * Makes the kernel asset: downloads Debian's cloud kernel package (without installing it), takes
 * the ELF vmlinux out of its bzImage and copies the modules the guest needs.
 *
 *   node guest/kernel/fetch-kernel.ts OUTDIR [--refresh]
 *
 * OUTDIR gets `vmlinux`, `modules/NN-name.ko` (NN is the order to load them in) and
 * `manifest.json`. An OUTDIR that is whole is left as it is; --refresh asks Debian again.
 */
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { runCommand } from '@ingot/daemon-kit';
import { findPayload, unpackPayload } from './elf-from-bzimage.ts';
import { orderModules } from './module-order.ts';

const metaPackage = 'linux-image-cloud-amd64';

export interface KernelManifest {
  /** Debian package and its version, such as "linux-image-6.1.0-56-cloud-amd64" and "6.1.192-2". */
  package: string;
  version: string;
  /** SHA-256 of every file, by its path in the directory. */
  files: Record<string, string>;
}

/**
 * Fills `outDir` unless it is whole already.
 *
 * @throws Error saying what to do when Debian's package lists or servers cannot be reached.
 */
export async function fetchKernel(outDir: string, refresh = false): Promise<KernelManifest> {
  const present = await readManifest(outDir);
  if (present !== undefined && !refresh) return present;
  await mkdir(dirname(outDir), { recursive: true });
  const work = await mkdtemp(`${outDir}.making-`);
  try {
    const { name, version } = await resolvePackage();
    const unpacked = await downloadPackage(name, work);
    const made = join(work, 'made');
    await mkdir(join(made, 'modules'), { recursive: true });
    const contents = await kernelFiles(unpacked, name);
    const files: Record<string, string> = {};
    for (const [path, bytes] of contents) {
      await writeFile(join(made, path), bytes, { mode: 0o444 });
      files[path] = createHash('sha256').update(bytes).digest('hex');
    }
    const manifest: KernelManifest = { package: name, version, files };
    await writeFile(join(made, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`);
    await rm(outDir, { recursive: true, force: true });
    await rename(made, outDir);
    return manifest;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** The manifest of a directory whose every file is there and unchanged; else undefined. */
async function readManifest(dir: string): Promise<KernelManifest | undefined> {
  try {
    const text = await readFile(join(dir, 'manifest.json'), 'utf8');
    const manifest = JSON.parse(text) as KernelManifest;
    for (const [path, sha256] of Object.entries(manifest.files)) {
      const bytes = await readFile(join(dir, path));
      if (createHash('sha256').update(bytes).digest('hex') !== sha256) return undefined;
    }
    return manifest;
  } catch {
    return undefined;
  }
}

async function resolvePackage(): Promise<{ name: string; version: string }> {
  const { stdout } = await runCommand('apt-cache', ['show', '--no-all-versions', metaPackage], {
    timeoutMs: 60_000,
  }).catch((cause: unknown) => {
    throw new Error(`apt knows no package ${metaPackage}: run "apt-get update" and try again`, {
      cause,
    });
  });
  const version = /^Version: (.+)$/m.exec(stdout)?.[1];
  const name = /^Depends: .*?\b(linux-image-[^ ,]+)/m.exec(stdout)?.[1];
  if (version === undefined || name === undefined) {
    throw new Error(`apt describes ${metaPackage} without a version or a kernel it depends on`);
  }
  return { name, version };
}

async function downloadPackage(name: string, work: string): Promise<string> {
  await runCommand('apt-get', ['-q', 'download', name], { cwd: work, timeoutMs: 600_000 }).catch(
    (cause: unknown) => {
      throw new Error(`cannot download ${name}: check the network, then "apt-get update"`, {
        cause,
      });
    },
  );
  const deb = (await readdir(work)).find((entry) => entry.endsWith('.deb'));
  if (deb === undefined) throw new Error(`apt-get download ${name} left no package behind`);
  const unpacked = join(work, 'unpacked');
  await runCommand('dpkg-deb', ['-x', join(work, deb), unpacked], { timeoutMs: 120_000 });
  return unpacked;
}

async function kernelFiles(unpacked: string, name: string): Promise<Map<string, Buffer>> {
  const release = name.replace(/^linux-image-/, '');
  const bzImage = await readFile(join(unpacked, 'boot', `vmlinuz-${release}`));
  const files = new Map([['vmlinux', unpackPayload(findPayload(bzImage))]]);
  const modules = await orderModules(join(unpacked, 'lib', 'modules', release));
  for (const [index, file] of modules.entries()) {
    const order = String(index).padStart(2, '0');
    files.set(`modules/${order}-${basename(file)}`, await readFile(file));
  }
  return files;
}

if (import.meta.main) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { refresh: { type: 'boolean', default: false } },
  });
  const outDir = positionals[0];
  if (outDir === undefined || positionals.length !== 1) {
    process.stderr.write('usage: fetch-kernel.ts OUTDIR [--refresh]\n');
    process.exit(2);
  }
  const manifest = await fetchKernel(resolve(outDir), values.refresh);
  process.stdout.write(`${manifest.package} ${manifest.version} in ${outDir}\n`);
}
