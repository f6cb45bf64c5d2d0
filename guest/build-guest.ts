/**
 * Builds what every microVM boots: `vmlinux` (Debian's cloud kernel), `initrd` (our PID 1 and the
 * modules it loads), `tsc-khz` (a program for the host, see kernel/tsc-khz.c) and `manifest.json`
 * (what they were made of).
 *
 *   node guest/build-guest.ts [OUTDIR] [--refresh-kernel]
 *
 * OUTDIR is .cache/guest unless given. Nothing is done when its inputs have not changed.
 */
import { createHash } from 'node:crypto';
import {
  copyFile,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  writeFile,
} from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { runCommand } from '@ingot/daemon-kit';
import { writeCpio } from './cpio.ts';
import type { CpioEntry } from './cpio.ts';
import { fetchKernel } from './kernel/fetch-kernel.ts';
import type { KernelManifest } from './kernel/fetch-kernel.ts';

const here = import.meta.dirname;
const cacheDir = join(here, '..', '.cache');
const tscSource = join(here, 'kernel', 'tsc-khz.c');
const compilerArgs = ['-static', '-Os', '-std=c11', '-Wall', '-Wextra', '-Werror', '-Wl,-s'];

interface GuestManifest {
  kernel: { package: string; version: string };
  /** SHA-256 over everything the guest is made of. */
  inputs: string;
  /** SHA-256 of each file beside this one. */
  files: Record<string, string>;
}

async function buildGuest(outDir: string, refreshKernel: boolean): Promise<GuestManifest> {
  const kernelDir = join(cacheDir, 'kernel');
  const kernel = await fetchKernel(kernelDir, refreshKernel);
  const inputs = await hashInputs(kernel);
  const present = await readManifest(outDir);
  if (present?.inputs === inputs) return present;

  await mkdir(dirname(outDir), { recursive: true });
  const work = await mkdtemp(`${outDir}.making-`);
  try {
    const init = await compileInit(work);
    const made = join(work, 'made');
    await mkdir(made);
    await writeFile(join(made, 'initrd'), await packInitrd(init, kernelDir, kernel), {
      mode: 0o444,
    });
    await copyFile(join(kernelDir, 'vmlinux'), join(made, 'vmlinux'));
    await runCommand('musl-gcc', [...compilerArgs, '-o', join(made, 'tsc-khz'), tscSource], {
      timeoutMs: 60_000,
    });
    const manifest: GuestManifest = {
      kernel: { package: kernel.package, version: kernel.version },
      inputs,
      files: {
        vmlinux: await hashFile(join(made, 'vmlinux')),
        initrd: await hashFile(join(made, 'initrd')),
        'tsc-khz': await hashFile(join(made, 'tsc-khz')),
      },
    };
    await writeFile(join(made, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`);
    await rm(outDir, { recursive: true, force: true });
    await rename(made, outDir);
    return manifest;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function compileInit(work: string): Promise<Buffer> {
  const binary = join(work, 'init');
  const sources = (await initSources()).filter((path) => path.endsWith('.c'));
  await runCommand('musl-gcc', [...compilerArgs, '-o', binary, ...sources], { timeoutMs: 120_000 });
  return readFile(binary);
}

async function packInitrd(
  init: Buffer,
  kernelDir: string,
  kernel: KernelManifest,
): Promise<Buffer> {
  const directories = ['dev', 'proc', 'sys', 'modules', 'mnt', 'mnt/image', 'mnt/disk', 'mnt/root'];
  const entries: CpioEntry[] = directories.map((path) => ({ path, mode: 0o040755 }));
  // The kernel opens it for PID 1 before PID 1 can mount anything.
  entries.push({ path: 'dev/console', mode: 0o020600, device: { major: 5, minor: 1 } });
  entries.push({ path: 'init', mode: 0o100755, data: init });
  for (const path of modulePaths(kernel)) {
    entries.push({ path, mode: 0o100644, data: await readFile(join(kernelDir, path)) });
  }
  return writeCpio(entries);
}

function modulePaths(kernel: KernelManifest): string[] {
  return Object.keys(kernel.files)
    .filter((path) => path.startsWith('modules/'))
    .toSorted();
}

/** Every file that decides what the guest becomes, this script included. */
async function hashInputs(kernel: KernelManifest): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify(kernel));
  const scripts = [import.meta.filename, join(here, 'cpio.ts'), tscSource];
  for (const path of [...scripts, ...(await initSources())]) {
    hash.update(`${path.slice(here.length)}\0`).update(await readFile(path));
  }
  return hash.digest('hex');
}

async function initSources(): Promise<string[]> {
  const names = await readdir(join(here, 'init'));
  return names
    .filter((name) => /\.[ch]$/.test(name))
    .toSorted()
    .map((name) => join(here, 'init', name));
}

async function hashFile(path: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(path))
    .digest('hex');
}

/** The manifest of a directory whose every file is there and unchanged; else undefined. */
async function readManifest(dir: string): Promise<GuestManifest | undefined> {
  try {
    const manifest = JSON.parse(
      await readFile(join(dir, 'manifest.json'), 'utf8'),
    ) as GuestManifest;
    for (const [name, sha256] of Object.entries(manifest.files)) {
      if ((await hashFile(join(dir, name))) !== sha256) return undefined;
    }
    return manifest;
  } catch {
    return undefined;
  }
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { 'refresh-kernel': { type: 'boolean', default: false } },
});
const outDir = resolve(positionals[0] ?? join(cacheDir, 'guest'));
const manifest = await buildGuest(outDir, values['refresh-kernel']);
process.stdout.write(
  `guest on ${manifest.kernel.package} ${manifest.kernel.version} in ${outDir}\n`,
);
