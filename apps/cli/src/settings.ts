import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { errnoOf, IngotError, messageOf, parseListen } from '@ingot/daemon-kit/client';
import { parse } from 'yaml';
import { z } from 'zod';
import type { CliContext, GlobalOptions } from './context.ts';
import { type DaemonName, daemonNames, defaultPort, reachable } from './system/daemons.ts';

const port = z.number().int().min(1).max(65_535);

/** The part of ingot.yaml above the daemons' sections; each daemon checks its own. */
const fileSchema = z.strictObject({
  dataDir: z.string().min(1).optional(),
  url: z.string().min(1).optional(),
  key: z.string().min(1).optional(),
  portBase: port.max(65_530).optional(),
  registryPort: port.optional(),
  ...Object.fromEntries(
    daemonNames.map((name) => [name, z.record(z.string(), z.unknown()).nullish()]),
  ),
});

/** What the command line needs to know, from flags, then INGOT_*, then ingot.yaml, then defaults. */
export interface Settings {
  /** Absolute. */
  readonly dataDir: string;
  /** Absolute; need not exist. */
  readonly configFile: string;
  /** gatewayd's address for customers. */
  readonly url: string;
  /** The API key when one was given; else the admin key in the data directory is used. */
  readonly key: string | undefined;
  /** "host:port" of every daemon. */
  readonly listen: Readonly<Record<DaemonName, string>>;
  /** The daemons' sections of the file, unchecked. */
  readonly sections: Readonly<Record<DaemonName, Readonly<Record<string, unknown>>>>;
  /** The example registry's. */
  readonly registryPort: number;
  /** True when somebody chose the registry's port, so that another one will not do. */
  readonly registryPortChosen: boolean;
}

/** @throws IngotError config_invalid naming the setting. */
export function readCliSettings(
  { env, cwd, repoDir }: Pick<CliContext, 'env' | 'cwd' | 'repoDir'>,
  options: GlobalOptions,
): Settings {
  const configured = options.config ?? env['INGOT_CONFIG'];
  const configFile =
    configured === undefined ? join(repoDir, 'ingot.yaml') : resolve(cwd, configured);
  const file = readFile(configFile);
  const dataDir = options.dataDir ?? env['INGOT_DATA_DIR'];
  const portBase = portFrom(env, 'INGOT_PORT_BASE') ?? file.portBase;
  const registryPort = portFrom(env, 'INGOT_REGISTRY_PORT') ?? file.registryPort;
  const listen = Object.fromEntries(
    daemonNames.map((name, index) => [
      name,
      env[`INGOT_${name.toUpperCase()}_LISTEN`] ??
        text(section(file, name)['listen']) ??
        `127.0.0.1:${portBase === undefined ? defaultPort[name] : portBase + index}`,
    ]),
  ) as Record<DaemonName, string>;
  const sections = Object.fromEntries(
    daemonNames.map((name) => [name, section(file, name)]),
  ) as Settings['sections'];
  return {
    sections,
    dataDir:
      dataDir === undefined ? resolve(repoDir, file.dataDir ?? '.ingot') : resolve(cwd, dataDir),
    configFile,
    url: checkUrl(options.url ?? env['INGOT_URL'] ?? file.url ?? urlOf(listen.gatewayd)),
    key: (options.key ?? env['INGOT_KEY'] ?? file.key) || undefined,
    listen,
    registryPort: registryPort ?? (portBase === undefined ? 5000 : portBase + daemonNames.length),
    registryPortChosen: registryPort !== undefined || portBase !== undefined,
  };
}

/** The address a client on this host uses for gatewayd. */
function urlOf(listen: string): string {
  parseListen(listen);
  return `http://${reachable(listen)}`;
}

function readFile(path: string): z.infer<typeof fileSchema> {
  let document: unknown;
  try {
    document = parse(readFileSync(path, 'utf8')) ?? {};
  } catch (cause) {
    if (errnoOf(cause) === 'ENOENT') return {};
    throw new IngotError('config_invalid', `cannot read ${path}: ${messageOf(cause)}`, {
      remedy: 'correct the file; ingot.example.yaml shows every setting',
      cause,
    });
  }
  const result = fileSchema.safeParse(document);
  if (result.success) return result.data;
  const problems = result.error.issues.map((issue) =>
    [issue.path.join('.'), issue.message].filter(Boolean).join(': '),
  );
  throw new IngotError('config_invalid', `${path} is not valid: ${problems.join('; ')}`, {
    remedy: 'correct the file; ingot.example.yaml shows every setting',
  });
}

function section(file: Record<string, unknown>, name: DaemonName): Record<string, unknown> {
  return (file[name] ?? {}) as Record<string, unknown>;
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function portFrom(env: CliContext['env'], name: string): number | undefined {
  const value = env[name];
  if (value === undefined || value === '') return undefined;
  const result = port.safeParse(Number(value));
  if (result.success) return result.data;
  throw new IngotError('config_invalid', `${name}=${value} is not a port`, {
    remedy: 'give a number from 1 to 65535',
  });
}

function checkUrl(url: string): string {
  if (/^https?:$/.test(URL.parse(url)?.protocol ?? '')) return url.replace(/\/+$/, '');
  throw new IngotError('config_invalid', `"${url}" is not a URL`, {
    remedy: "give gatewayd's address, such as http://127.0.0.1:8080, with --url or INGOT_URL",
  });
}
