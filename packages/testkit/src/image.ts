import { createHash } from 'node:crypto';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import type { TarEntry } from './tar.ts';
import { writeTar } from './tar.ts';

export interface ImagePlatform {
  /** As Go names them: amd64, arm64, … */
  readonly architecture: string;
  readonly os: string;
}

export interface ImageOptions {
  /** Lowest first; a layer is its entries, or the bytes of an uncompressed tar. */
  readonly layers: readonly (readonly TarEntry[] | Buffer)[];
  /** The `config` object of the image: Entrypoint, Cmd, Env, WorkingDir, User, ExposedPorts. */
  readonly config?: Readonly<Record<string, unknown>>;
  readonly compression?: 'gzip' | 'zstd' | 'none';
  /** This host's unless given. */
  readonly platform?: ImagePlatform;
  /** OCI media types, or Docker's schema 2. */
  readonly format?: 'oci' | 'docker';
}

export interface Blob {
  readonly digest: string;
  readonly mediaType: string;
  readonly bytes: Buffer;
}

export interface Image {
  readonly manifest: Blob;
  readonly config: Blob;
  readonly layers: readonly Blob[];
  readonly platform: ImagePlatform;
}

export interface IndexImage {
  readonly index: Blob;
  readonly images: readonly Image[];
}

/** `sha256:…` of the bytes. */
export function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** An image as its blobs. The same options give the same bytes and digests. */
export async function buildImage(options: ImageOptions): Promise<Image> {
  const format = options.format ?? 'oci';
  const compression = options.compression ?? 'gzip';
  const platform = options.platform ?? hostPlatform();
  const tars = await Promise.all(
    options.layers.map((layer) =>
      Buffer.isBuffer(layer) ? Promise.resolve(layer) : writeTar(layer),
    ),
  );
  const layers = tars.map((tar) =>
    blob(compress(tar, compression), layerType(format, compression)),
  );
  const config = blob(
    json({
      ...platform,
      created: '1970-01-01T00:00:00Z',
      config: options.config ?? {},
      rootfs: { type: 'layers', diff_ids: tars.map(digestOf) },
      history: tars.map(() => ({ created: '1970-01-01T00:00:00Z', created_by: 'testkit' })),
    }),
    format === 'oci'
      ? 'application/vnd.oci.image.config.v1+json'
      : 'application/vnd.docker.container.image.v1+json',
  );
  const mediaType =
    format === 'oci'
      ? 'application/vnd.oci.image.manifest.v1+json'
      : 'application/vnd.docker.distribution.manifest.v2+json';
  const manifest = blob(
    json({
      schemaVersion: 2,
      mediaType,
      config: descriptor(config),
      layers: layers.map(descriptor),
    }),
    mediaType,
  );
  return { manifest, config, layers, platform };
}

/** An image index (or Docker manifest list) over images of several platforms. */
export function buildIndex(images: readonly Image[], format: 'oci' | 'docker' = 'oci'): IndexImage {
  const mediaType =
    format === 'oci'
      ? 'application/vnd.oci.image.index.v1+json'
      : 'application/vnd.docker.distribution.manifest.list.v2+json';
  const manifests = images.map((image) => ({
    ...descriptor(image.manifest),
    platform: image.platform,
  }));
  return { index: blob(json({ schemaVersion: 2, mediaType, manifests }), mediaType), images };
}

function hostPlatform(): ImagePlatform {
  return { os: 'linux', architecture: process.arch === 'x64' ? 'amd64' : process.arch };
}

function layerType(format: 'oci' | 'docker', compression: 'gzip' | 'zstd' | 'none'): string {
  if (format === 'docker') {
    const base = 'application/vnd.docker.image.rootfs.diff.tar';
    return compression === 'none' ? base : `${base}.${compression}`;
  }
  const base = 'application/vnd.oci.image.layer.v1.tar';
  return compression === 'none' ? base : `${base}+${compression}`;
}

function compress(tar: Buffer, compression: 'gzip' | 'zstd' | 'none'): Buffer {
  if (compression === 'gzip') return gzipSync(tar);
  return compression === 'zstd' ? zstdCompressSync(tar) : tar;
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}

function blob(bytes: Buffer, mediaType: string): Blob {
  return { digest: digestOf(bytes), mediaType, bytes };
}

function descriptor({ mediaType, digest, bytes }: Blob) {
  return { mediaType, digest, size: bytes.length };
}
