import { IngotError, messageOf } from '@ingot/daemon-kit';
import { z } from 'zod';

/** A blob as a manifest names it. */
export interface Descriptor {
  readonly mediaType: string;
  /** "sha256:…" */
  readonly digest: string;
  readonly size: number;
}

export interface ImageManifest {
  readonly kind: 'image';
  readonly config: Descriptor;
  /** Lowest first. */
  readonly layers: readonly Descriptor[];
}

export interface ImageIndex {
  readonly kind: 'index';
  readonly manifests: readonly IndexedManifest[];
}

export interface IndexedManifest extends Descriptor {
  readonly platform: { readonly os: string; readonly architecture: string } | undefined;
}

const manifestTypes = [
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
];
const indexTypes = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
];
/** What to ask a registry for, in the Accept header. */
export const acceptedManifestTypes: readonly string[] = [...manifestTypes, ...indexTypes];

const configTypes = [
  'application/vnd.oci.image.config.v1+json',
  'application/vnd.docker.container.image.v1+json',
];
const layerTypePattern =
  /^application\/vnd\.(?:oci\.image\.layer\.v1\.tar(?:\+gzip|\+zstd)?|docker\.image\.rootfs\.diff\.tar(?:\.gzip|\.zstd)?)$/;

const descriptorSchema = z.object({
  mediaType: z.string(),
  digest: z.string().regex(/^sha256:[a-f0-9]{64}$/, 'only sha256 digests are supported'),
  size: z.int().nonnegative(),
});
const imageSchema = z.object({
  config: descriptorSchema,
  layers: z.array(descriptorSchema),
});
const indexSchema = z.object({
  manifests: z.array(
    descriptorSchema.extend({
      platform: z.object({ os: z.string(), architecture: z.string() }).optional(),
    }),
  ),
});
const documentSchema = z.looseObject({
  schemaVersion: z.literal(2, { error: 'only schema version 2 is supported' }),
  mediaType: z.string().optional(),
});

/**
 * Reads a manifest or index. The document's own media type wins over the one it was served with.
 *
 * @throws IngotError image_malformed.
 */
export function parseManifest(bytes: Uint8Array, servedAs: string): ImageManifest | ImageIndex {
  const document = parseJson(documentSchema, bytes, 'manifest');
  if ('layers' in document && 'manifests' in document) {
    malformed('its manifest is an image and an index at once');
  }
  const mediaType = document.mediaType ?? servedAs;
  if (indexTypes.includes(mediaType)) {
    const { manifests } = parseJson(indexSchema, bytes, 'index');
    return {
      kind: 'index',
      manifests: manifests.map((entry) => ({ ...entry, platform: entry.platform })),
    };
  }
  if (!manifestTypes.includes(mediaType)) malformed(`"${mediaType}" is not an image manifest`);
  const { config, layers } = parseJson(imageSchema, bytes, 'manifest');
  if (!configTypes.includes(config.mediaType)) {
    malformed(`it is no runnable image but "${config.mediaType}"`);
  }
  for (const [index, layer] of layers.entries()) {
    if (!layerTypePattern.test(layer.mediaType)) {
      malformed(`layer ${index + 1} has the unsupported type "${layer.mediaType}"`);
    }
  }
  return { kind: 'image', config, layers };
}

/**
 * The image of an index that this host's CPU can run.
 *
 * @param architecture - as Go names it: amd64, arm64.
 * @throws IngotError image_wrong_platform naming what there is.
 */
export function selectPlatform(index: ImageIndex, architecture: string): Descriptor {
  const match = index.manifests.find(
    ({ platform }) => platform?.os === 'linux' && platform.architecture === architecture,
  );
  if (match) return match;
  // Build attestations are listed as unknown/unknown.
  const found = index.manifests.flatMap(({ platform }) =>
    platform && platform.os !== 'unknown' ? [`${platform.os}/${platform.architecture}`] : [],
  );
  return wrongPlatform(found, architecture);
}

/** @throws IngotError image_wrong_platform, always. */
export function wrongPlatform(found: readonly string[], architecture: string): never {
  const list = found.length === 0 ? 'no platform' : [...new Set(found)].join(', ');
  throw new IngotError(
    'image_wrong_platform',
    `the image is for ${list}, but this host runs linux/${architecture}`,
    { remedy: `build and push the image for linux/${architecture}` },
  );
}

/** Parses and checks a JSON document of an image. @throws IngotError image_malformed */
export function parseJson<S extends z.ZodType>(
  schema: S,
  bytes: Uint8Array,
  what: string,
): z.infer<S> {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    malformed(`its ${what} is not JSON (${messageOf(cause)})`);
  }
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  return malformed(
    `its ${what} is wrong at ${issue?.path.join('.') || 'the top'}: ${issue?.message}`,
  );
}

/** @throws IngotError image_malformed, always. */
export function malformed(why: string): never {
  throw new IngotError('image_malformed', `the image cannot be used: ${why}`, {
    remedy: 'build the image again with a current tool and push it',
  });
}
