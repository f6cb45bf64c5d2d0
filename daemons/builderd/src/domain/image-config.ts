import { IngotError } from '@ingot/daemon-kit';
import { z } from 'zod';
import { malformed, parseJson, wrongPlatform } from './image-manifest.ts';

/** What `docker run` would read from an image. */
export interface RunConfig {
  readonly entrypoint: readonly string[];
  readonly cmd: readonly string[];
  /** "KEY=value", in the image's order. */
  readonly env: readonly string[];
  readonly workingDir: string;
  readonly user: string;
  /** TCP ports, ascending. */
  readonly exposedPorts: readonly number[];
}

export interface ImageConfig {
  readonly run: RunConfig;
  /** Digest of each layer's uncompressed tar, lowest first. */
  readonly diffIds: readonly string[];
}

// Go writes absent lists as null. A NUL cannot be passed to a program.
const text = z.string().refine((value) => !value.includes('\0'), 'it holds a NUL');
const texts = z
  .array(text)
  .nullish()
  .transform((value) => value ?? []);
const configSchema = z.object({
  architecture: z.string(),
  os: z.string(),
  config: z
    .object({
      Entrypoint: texts,
      Cmd: texts,
      Env: texts,
      WorkingDir: text.nullish(),
      User: text.nullish(),
      ExposedPorts: z.record(z.string(), z.unknown()).nullish(),
    })
    .nullish(),
  rootfs: z.object({ diff_ids: z.array(z.string().regex(/^sha256:[a-f0-9]{64}$/)) }),
});

/**
 * Reads an image's configuration and checks that this host can run it.
 *
 * @param layerCount - layers in the manifest; the configuration must describe as many.
 * @throws IngotError image_malformed, image_wrong_platform, or image_no_command.
 */
export function parseImageConfig(
  bytes: Uint8Array,
  options: { readonly architecture: string; readonly layerCount: number },
): ImageConfig {
  const document = parseJson(configSchema, bytes, 'configuration');
  const { os, architecture, config } = document;
  if (os !== 'linux' || architecture !== options.architecture) {
    wrongPlatform([`${os}/${architecture}`], options.architecture);
  }
  const diffIds = document.rootfs.diff_ids;
  if (diffIds.length !== options.layerCount) {
    malformed(`it has ${options.layerCount} layers but describes ${diffIds.length}`);
  }
  const run: RunConfig = {
    entrypoint: config?.Entrypoint ?? [],
    cmd: config?.Cmd ?? [],
    env: (config?.Env ?? []).filter((entry) => entry.indexOf('=') > 0),
    workingDir: config?.WorkingDir ?? '',
    user: config?.User ?? '',
    exposedPorts: exposedTcpPorts(Object.keys(config?.ExposedPorts ?? {})),
  };
  if (run.entrypoint.length === 0 && run.cmd.length === 0) {
    throw new IngotError('image_no_command', 'the image names no program to run', {
      remedy: 'give the image an ENTRYPOINT or a CMD',
    });
  }
  return { run, diffIds };
}

/** "80/tcp", "80" and "8000-8010/tcp" as numbers, ascending; other protocols left out. */
function exposedTcpPorts(specs: readonly string[]): number[] {
  const ports = new Set<number>();
  for (const spec of specs) {
    const match = /^(\d{1,5})(?:-(\d{1,5}))?(?:\/(tcp|udp|sctp))?$/i.exec(spec);
    const first = Number(match?.[1]);
    const last = Number(match?.[2] ?? match?.[1]);
    if (!match || first < 1 || last > 65535 || first > last) {
      malformed(`"${spec}" is not an exposed port`);
    }
    if ((match[3] ?? 'tcp').toLowerCase() !== 'tcp') continue;
    for (let port = first; port <= last; port++) ports.add(port);
  }
  return [...ports].toSorted((a, b) => a - b);
}
