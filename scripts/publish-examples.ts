/**
 * Compiles the examples and pushes them as images to a registry that speaks plain HTTP.
 *
 *   node scripts/publish-examples.ts HOST:PORT
 *
 * Does nothing where the registry has the image of the same sources already.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { globSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { buildImage, dir, file, type Image, pushImage } from '@ingot/testkit';

const run = promisify(execFile);
const root = join(import.meta.dirname, '..');
/** Digests of images by what they were made from. */
const digestsPath = join(root, '.cache/examples/digests.json');
const examples = ['hello', 'shop'] as const;
const tag = '1';
const manifestType = 'application/vnd.oci.image.manifest.v1+json';
const flags = ['-std=gnu17', '-static', '-O2', '-Wall', '-Wextra', '-Werror', '-s'];

async function publish(example: string, registry: string): Promise<string> {
  const reference = `${registry}/${example}:${tag}`;
  const sources = globSync(`examples/{http-server,${example}}/*.{c,h}`, { cwd: root }).toSorted();
  const inputs = await hashOf([...sources.map((path) => join(root, path)), import.meta.filename]);
  const digests = await readDigests();
  const known = digests[inputs];
  if (known !== undefined && (await digestIn(registry, example)) === known) {
    return `${reference} is there already`;
  }
  const image = await pack(example, await compile(example, sources));
  const digest = await pushImage(
    { registry: `http://${registry}`, repository: example, tag },
    image,
  );
  await writeDigests({ ...digests, [inputs]: digest });
  return `${reference} is pushed (${digest})`;
}

async function compile(example: string, sources: readonly string[]): Promise<Buffer> {
  const work = await mkdtemp(join(tmpdir(), 'ingot-example-'));
  const output = join(work, example);
  const units = sources.filter((path) => path.endsWith('.c'));
  try {
    await run('musl-gcc', [...flags, '-o', output, ...units], { cwd: root });
    return await readFile(output);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause;
    throw new Error('musl-gcc is missing: run "apt-get install musl-tools"', { cause });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

function pack(example: string, program: Buffer): Promise<Image> {
  const passwd = 'root:x:0:0:root:/:/sbin/nologin\napp:x:1000:1000:app:/:/sbin/nologin\n';
  return buildImage({
    layers: [
      [
        dir('etc'),
        file('etc/passwd', passwd, { mode: 0o644 }),
        file('etc/group', 'root:x:0:\napp:x:1000:\n', { mode: 0o644 }),
        file(example, program, { mode: 0o755 }),
      ],
    ],
    config: {
      User: 'app',
      ExposedPorts: { '8080/tcp': {} },
      Env: ['PORT=8080'],
      Entrypoint: [`/${example}`],
      WorkingDir: '/',
    },
  });
}

/** The digest the registry has under the tag; undefined when it has none. */
async function digestIn(registry: string, example: string): Promise<string | undefined> {
  const response = await fetch(`http://${registry}/v2/${example}/manifests/${tag}`, {
    method: 'HEAD',
    headers: { accept: manifestType },
  });
  return response.headers.get('docker-content-digest') ?? undefined;
}

async function hashOf(paths: readonly string[]): Promise<string> {
  const hash = createHash('sha256');
  for (const path of paths) {
    const bytes = await readFile(path);
    hash.update(`${relative(root, path)} ${bytes.length}\n`).update(bytes);
  }
  return hash.digest('hex');
}

async function readDigests(): Promise<Record<string, string>> {
  try {
    return JSON.parse(await readFile(digestsPath, 'utf8')) as Record<string, string>;
  } catch {
    // Not there, or not whole: then everything is pushed again.
    return {};
  }
}

async function writeDigests(digests: Record<string, string>): Promise<void> {
  await mkdir(join(digestsPath, '..'), { recursive: true });
  const draft = `${digestsPath}.${process.pid}`;
  await writeFile(draft, JSON.stringify(digests));
  await rename(draft, digestsPath);
}

const [registry, ...rest] = parseArgs({ allowPositionals: true }).positionals;
if (registry === undefined || rest.length > 0 || !/^[^/]+:\d+$/.test(registry)) {
  process.stderr.write('usage: node scripts/publish-examples.ts HOST:PORT\n');
  process.exitCode = 2;
} else {
  try {
    for (const example of examples) {
      process.stdout.write(`${await publish(example, registry)}\n`);
    }
  } catch (error) {
    const { message, cause } = error as Error;
    // fetch says "fetch failed" and keeps the reason to itself.
    const why = message === 'fetch failed' && cause instanceof Error ? `: ${cause.message}` : '';
    process.stderr.write(`cannot publish the examples to ${registry}: ${message}${why}\n`);
    process.exitCode = 1;
  }
}
