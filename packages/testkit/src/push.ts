import type { Blob, Image, IndexImage } from './image.ts';

export interface PushTarget {
  /** Base URL of the registry, such as `http://127.0.0.1:5000`. */
  readonly registry: string;
  readonly repository: string;
  readonly tag: string;
  /** Value of the Authorization header, when the registry asks for one. */
  readonly authorization?: string;
}

/**
 * Pushes an image by the distribution protocol: blobs the registry lacks, then the manifest
 * under the tag. Returns the manifest's digest.
 */
export async function pushImage(target: PushTarget, image: Image): Promise<string> {
  for (const blob of [...image.layers, image.config]) await putBlob(target, blob);
  return putManifest(target, image.manifest, target.tag);
}

/** Pushes every image of an index by digest, then the index under the tag. */
export async function pushIndex(target: PushTarget, index: IndexImage): Promise<string> {
  for (const image of index.images) {
    await pushImage({ ...target, tag: image.manifest.digest }, image);
  }
  return putManifest(target, index.index, target.tag);
}

/** Uploads one blob in one request unless the registry has it. */
export async function putBlob(target: PushTarget, blob: Blob): Promise<void> {
  const base = `${target.registry}/v2/${target.repository}/blobs`;
  const known = await send(target, `${base}/${blob.digest}`, { method: 'HEAD' }, [200, 404]);
  if (known.status === 200) return;
  const started = await send(target, `${base}/uploads/`, { method: 'POST' }, [202]);
  const location = new URL(started.headers.get('location') ?? '', target.registry);
  location.searchParams.set('digest', blob.digest);
  const headers = { 'content-type': 'application/octet-stream' };
  await send(target, location.href, { method: 'PUT', headers, body: blob.bytes }, [201]);
}

/** Puts a manifest under a tag or its digest; its blobs must be there. Returns its digest. */
export async function putManifest(
  target: PushTarget,
  manifest: Blob,
  reference: string,
): Promise<string> {
  const url = `${target.registry}/v2/${target.repository}/manifests/${reference}`;
  const headers = { 'content-type': manifest.mediaType };
  await send(target, url, { method: 'PUT', headers, body: manifest.bytes }, [201]);
  return manifest.digest;
}

async function send(
  target: PushTarget,
  url: string,
  init: {
    method: string;
    headers?: Record<string, string>;
    body?: Uint8Array<ArrayBuffer> | Buffer;
  },
  expected: readonly number[],
): Promise<Response> {
  const headers = new Headers(init.headers);
  if (target.authorization !== undefined) headers.set('authorization', target.authorization);
  const { method, body } = init;
  const request = body ? { method, headers, body: new Uint8Array(body) } : { method, headers };
  const response = await fetch(url, request);
  const text = await response.text();
  if (!expected.includes(response.status)) {
    throw new Error(`${method} ${url} answered ${response.status}: ${text}`);
  }
  return response;
}
