import { createHash } from 'node:crypto';
import {
  type Clock,
  errnoOf,
  IngotError,
  isIngotError,
  messageOf,
  type Random,
  retry,
} from '@ingot/daemon-kit';
import { acceptedManifestTypes, type Descriptor } from '../../domain/image-manifest.ts';
import type { ImageReference } from '../../domain/image-reference.ts';
import { maxDocumentBytes, tooLarge } from '../../domain/policy.ts';
import { isLoopbackHost } from './address-guard.ts';
import type { ImageRepository, ImageSource, ManifestDocument } from '../image-source.ts';
import type { RegistryAccount } from './registry-auth.ts';
import {
  basicAuthorization,
  bearerAuthorization,
  parseChallenge,
  tokenUrl,
} from './registry-auth.ts';
import {
  RegistryHttp,
  type RegistryResponse,
  type RegistryTimeouts,
  TransientFailure,
} from './registry-http.ts';

export interface RegistrySourceOptions {
  /** Accounts by registry host, as written in references. */
  readonly accounts: Readonly<Record<string, RegistryAccount>>;
  readonly timeouts: RegistryTimeouts;
  /** Tries of one request before the registry counts as unreachable. */
  readonly attempts: number;
  readonly clock: Clock;
  readonly random: Random;
}

const retryBaseMs = 250;
const retryCapMs = 4000;

/** Images by the distribution protocol: plain HTTP for registries on loopback, HTTPS for others. */
export class RegistryImageSource implements ImageSource {
  readonly #options: RegistrySourceOptions;
  readonly #remote: RegistryHttp;
  readonly #local: RegistryHttp;

  constructor(options: RegistrySourceOptions) {
    this.#options = options;
    this.#remote = new RegistryHttp(options.timeouts, false);
    this.#local = new RegistryHttp(options.timeouts, true);
  }

  open(reference: ImageReference, signal: AbortSignal): ImageRepository {
    const http = isLoopbackHost(hostnameOf(reference.registry)) ? this.#local : this.#remote;
    return new RegistryRepository(reference, http, this.#options, signal);
  }

  async close(): Promise<void> {
    await Promise.all([this.#remote.close(), this.#local.close()]);
  }
}

class RegistryRepository implements ImageRepository {
  readonly #reference: ImageReference;
  readonly #http: RegistryHttp;
  readonly #options: RegistrySourceOptions;
  readonly #signal: AbortSignal;
  readonly #base: string;
  #authorization: string | undefined;

  constructor(
    reference: ImageReference,
    http: RegistryHttp,
    options: RegistrySourceOptions,
    signal: AbortSignal,
  ) {
    this.#reference = reference;
    this.#http = http;
    this.#options = options;
    this.#signal = signal;
    const { registry, repository } = reference;
    const host = registry === 'docker.io' ? 'registry-1.docker.io' : registry;
    const scheme = isLoopbackHost(hostnameOf(registry)) ? 'http' : 'https';
    this.#base = `${scheme}://${host}/v2/${repository}`;
  }

  fetchManifest(tagOrDigest: string): Promise<ManifestDocument> {
    const accept = acceptedManifestTypes.join(', ');
    const what = `${this.#reference.repository}:${tagOrDigest}`.replace(':sha256:', '@sha256:');
    return this.#get(`/manifests/${tagOrDigest}`, what, { accept }, async (response) => {
      const bytes = await readWhole(response, maxDocumentBytes);
      const digest = digestOf(bytes);
      const claimed = tagOrDigest.includes(':')
        ? tagOrDigest
        : response.headers['docker-content-digest'];
      if (typeof claimed === 'string' && claimed !== digest) mismatch('manifest', claimed, digest);
      const type = String(response.headers['content-type'] ?? '');
      return { digest, mediaType: type.replace(/;.*/, '').trim(), bytes };
    });
  }

  fetchDocument(blob: Descriptor): Promise<Uint8Array> {
    return this.#get(`/blobs/${blob.digest}`, `blob ${blob.digest}`, {}, async (response) => {
      const bytes = await readWhole(response, Math.min(blob.size, maxDocumentBytes));
      const digest = digestOf(bytes);
      if (digest !== blob.digest) mismatch('configuration', blob.digest, digest);
      return bytes;
    });
  }

  fetchBlob(
    blob: Descriptor,
    consume: (bytes: AsyncIterable<Uint8Array>) => Promise<void>,
  ): Promise<void> {
    return this.#get(`/blobs/${blob.digest}`, `blob ${blob.digest}`, {}, async (response) => {
      await consume(networkBytes(response));
    });
  }

  /** One request until it works, is refused, or has been tried often enough. */
  async #get<T>(
    path: string,
    what: string,
    headers: Readonly<Record<string, string>>,
    read: (response: RegistryResponse) => Promise<T>,
  ): Promise<T> {
    const { clock, random, attempts } = this.#options;
    return retry(
      async () => {
        const url = new URL(this.#base + path);
        const response = await this.#authorised(url, headers);
        if (response.statusCode === 200) return read(response);
        await response.body.dump();
        return this.#refused(response.statusCode, what);
      },
      {
        clock,
        random,
        signal: this.#signal,
        baseMs: retryBaseMs,
        capMs: retryCapMs,
        onError: (error, attempt) => {
          if (!(error instanceof TransientFailure)) throw error;
          if (attempt >= attempts) throw this.#unreachable(error, what);
        },
      },
    );
  }

  async #authorised(
    url: URL,
    headers: Readonly<Record<string, string>>,
  ): Promise<RegistryResponse> {
    const send = () => {
      const authorization = this.#authorization;
      const all = authorization === undefined ? headers : { ...headers, authorization };
      return this.#http.get(url, all, this.#signal);
    };
    const response = await send();
    if (response.statusCode !== 401) return response;
    const header = String(response.headers['www-authenticate'] ?? '');
    // A token may have run out, so this happens on any request, once each.
    const authorization = await this.#authorise(header, url);
    if (authorization === undefined) return response;
    await response.body.dump();
    this.#authorization = authorization;
    return send();
  }

  /** Answers a challenge; undefined when there is nothing more to say. */
  async #authorise(header: string, url: URL): Promise<string | undefined> {
    const account = this.#options.accounts[this.#reference.registry];
    const challenge = parseChallenge(header);
    if (challenge?.scheme === 'basic') return account && basicAuthorization(account);
    if (!challenge) return undefined;
    const realm = tokenUrl(challenge, this.#reference.repository);
    if (url.protocol === 'https:' && realm.protocol !== 'https:') return undefined;
    const headers = account ? { authorization: basicAuthorization(account) } : {};
    const response = await this.#http.get(realm, headers, this.#signal);
    if (response.statusCode === 200) {
      return bearerAuthorization(await readWhole(response, maxDocumentBytes));
    }
    await response.body.dump();
    return undefined;
  }

  #refused(status: number, what: string): never {
    const { registry } = this.#reference;
    if (status === 404) {
      throw new IngotError('image_not_found', `${registry} has no ${what}`, {
        remedy: 'check the name and the tag or digest, and that the image has been pushed',
        facts: { registry },
      });
    }
    if (status === 401 || status === 403) {
      throw new IngotError('registry_denied', `${registry} does not let builderd read ${what}`, {
        remedy:
          `if the image exists, give builderd an account for ${registry} in its setting ` +
          '`registries`, or make the image public',
        facts: { registry },
      });
    }
    throw new IngotError('registry_denied', `${registry} answered ${status} for ${what}`, {
      remedy: 'check the registry; this is no answer of the distribution protocol',
      facts: { registry, status: String(status) },
    });
  }

  #unreachable(failure: TransientFailure, what: string): IngotError {
    const { registry } = this.#reference;
    if (failure.status === 429) {
      return new IngotError('rate_limited', `${registry} allows no more pulls for now`, {
        remedy: 'wait, or give builderd an account there in its setting `registries`',
        cause: failure,
      });
    }
    const message = `cannot get ${what} from ${registry}: ${failure.message}`;
    return new IngotError('registry_unreachable', message, {
      remedy: `check that ${registry} is up and can be reached from this host, then deploy again`,
      facts: { registry },
      cause: failure,
    });
  }
}

/** A body's bytes, its breaking off told apart from what the reader does with them. */
async function* networkBytes(response: RegistryResponse): AsyncGenerator<Uint8Array> {
  const body = response.body[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await body.next().catch((cause: unknown) => {
        if (isIngotError(cause) || errnoOf(cause) === 'ABORT_ERR') throw cause;
        throw new TransientFailure(`the transfer broke off (${messageOf(cause)})`, { cause });
      });
      if (next.done) return;
      yield next.value as Uint8Array;
    }
  } finally {
    // A body left early says so with an event that would end the process if nobody listened.
    response.body.on('error', () => undefined);
    response.body.destroy();
  }
}

async function readWhole(response: RegistryResponse, maxBytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of networkBytes(response)) {
    size += chunk.length;
    if (size > maxBytes) tooLarge(`a document of it has more than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

function mismatch(what: string, expected: string, found: string): never {
  throw new IngotError(
    'digest_mismatch',
    `the image's ${what} should have the digest ${expected} but has ${found}`,
    { remedy: 'the registry or something on the way changes data; push the image again' },
  );
}

/** The host of "host:port" or "[v6]:port". */
function hostnameOf(registry: string): string {
  return registry.replace(/:\d+$/, '');
}
