import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';

/**
 * What PID 1 needs before it can mount the root: the paravirtual disks, network card and control
 * port of the microVM, and the two file systems Debian's cloud kernel has as modules.
 */
const wanted = [
  'virtio_mmio',
  'virtio_blk',
  'virtio_console',
  'virtio_net',
  'squashfs',
  'overlay',
] as const;

/**
 * Files of the wanted modules and all they depend on, each after what it needs.
 *
 * @param modulesDir lib/modules/VERSION of the unpacked kernel package
 * @throws Error naming the module that is missing.
 */
export async function orderModules(modulesDir: string): Promise<string[]> {
  const files = new Map<string, string>();
  for (const path of await readdir(join(modulesDir, 'kernel'), { recursive: true })) {
    if (path.endsWith('.ko')) files.set(moduleName(path), join(modulesDir, 'kernel', path));
  }
  const ordered = new Map<string, string>();
  const visit = async (name: string): Promise<void> => {
    if (ordered.has(name)) return;
    const file = files.get(name);
    if (file === undefined) throw new Error(`the kernel package has no module ${name}`);
    for (const needed of await dependenciesOf(file)) await visit(needed);
    ordered.set(name, file);
  };
  for (const name of wanted) await visit(name);
  return [...ordered.values()];
}

function moduleName(path: string): string {
  return basename(path, '.ko').replaceAll('-', '_');
}

/** The "depends=" record of a module's .modinfo section: NUL-separated key=value strings. */
async function dependenciesOf(file: string): Promise<string[]> {
  const text = (await readFile(file)).toString('latin1');
  const list = /\0depends=([^\0]*)\0/.exec(text)?.[1] ?? '';
  return list === '' ? [] : list.split(',').map((name) => name.replaceAll('-', '_'));
}
