import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import type { z } from 'zod';
import { errnoOf, IngotError, messageOf } from './errors.ts';

/** Where settings come from, strongest first: environment, file, the schema's defaults. */
export interface SettingsSource {
  env: Readonly<Record<string, string | undefined>>;
  /** Path of an ingot.yaml; a file that does not exist counts as empty. */
  file?: string | undefined;
  /** The part of the file and of the variables' names: "metald" reads `metald:` and INGOT_METALD_*. */
  section: string;
}

/**
 * Reads one section of the settings, checks it and freezes it. `INGOT_METALD_LISTEN` sets `listen`,
 * `INGOT_METALD_BATCH_MS` sets `batchMs`; values are read as YAML scalars or flow lists.
 *
 * @throws IngotError config_invalid naming the setting, for a wrong value or an unknown name.
 */
export function readSettings<S extends z.ZodObject>(
  schema: S,
  source: SettingsSource,
): Readonly<z.infer<S>> {
  const merged = { ...readSection(source), ...readEnvironment(source) };
  const result = schema.strict().safeParse(merged);
  if (result.success) return Object.freeze(result.data as z.infer<S>);
  const problems = result.error.issues.map((issue) =>
    [issue.path.join('.'), issue.message].filter(Boolean).join(': '),
  );
  throw new IngotError(
    'config_invalid',
    `the settings of ${source.section} are not valid: ${problems.join('; ')}`,
    {
      remedy: `correct section "${source.section}" of ${source.file ?? 'ingot.yaml'} or the variable ${variablePrefix(source.section)}…`,
    },
  );
}

function variablePrefix(section: string): string {
  return `INGOT_${section.toUpperCase()}_`;
}

function readSection({ file, section }: SettingsSource): Record<string, unknown> {
  if (file === undefined) return {};
  let document: unknown;
  try {
    document = parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    if (errnoOf(cause) === 'ENOENT') return {};
    throw new IngotError('config_invalid', `cannot read ${file}: ${messageOf(cause)}`, { cause });
  }
  const part = isRecord(document) ? document[section] : undefined;
  if (part === undefined || part === null) return {};
  if (isRecord(part)) return part;
  throw new IngotError('config_invalid', `"${section}" in ${file} must be a mapping`);
}

function readEnvironment({ env, section }: SettingsSource): Record<string, unknown> {
  const prefix = variablePrefix(section);
  const found: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(env)) {
    if (!name.startsWith(prefix) || value === undefined) continue;
    const key = name
      .slice(prefix.length)
      .toLowerCase()
      .replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
    found[key] = parse(value);
  }
  return found;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
