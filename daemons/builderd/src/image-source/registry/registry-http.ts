import { errnoOf, IngotError, isIngotError, messageOf } from '@ingot/daemon-kit';
import { Agent, type Dispatcher, request } from 'undici';
import { checkAddress, guardedLookup } from './address-guard.ts';

export interface RegistryTimeouts {
  readonly connectMs: number;
  /** Longest wait for the next byte. */
  readonly idleMs: number;
}

const maxRedirects = 5;
const redirectCodes = [301, 302, 303, 307, 308];

/** Raised for what another try may mend: refused or cut connections, 5xx, 429. */
export class TransientFailure extends Error {
  readonly status: number | undefined;

  constructor(message: string, options: { status?: number; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.status = options.status;
  }
}

export type RegistryResponse = Dispatcher.ResponseData;

/**
 * GET over HTTP as a registry client may do it: guarded addresses, no downgrade to plain HTTP, and
 * the Authorization header for the first host only.
 */
export class RegistryHttp {
  readonly #agent: Agent;
  readonly #allowLoopback: boolean;

  /** @param allowLoopback - whether this machine's own addresses may be called. */
  constructor(timeouts: RegistryTimeouts, allowLoopback: boolean) {
    this.#allowLoopback = allowLoopback;
    this.#agent = new Agent({
      connect: { lookup: guardedLookup(allowLoopback), timeout: timeouts.connectMs },
      headersTimeout: timeouts.idleMs,
      bodyTimeout: timeouts.idleMs,
      connections: 8,
    });
  }

  /**
   * The final answer after redirects, whatever its status below 500; the caller must read or dump
   * its body.
   *
   * @throws TransientFailure, IngotError registry_denied
   */
  async get(
    url: URL,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<RegistryResponse> {
    let target = url;
    for (let redirects = 0; redirects <= maxRedirects; redirects++) {
      const kept = { ...headers };
      if (target.origin !== url.origin) delete kept['authorization'];
      const response = await this.#send(target, kept, signal);
      if (!redirectCodes.includes(response.statusCode)) return response;
      await response.body.dump();
      target = nextTarget(target, response.headers['location']);
    }
    throw new IngotError('registry_denied', `${url.host} redirects in circles`, {
      remedy: 'tell whoever runs the registry',
    });
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }

  async #send(
    url: URL,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<RegistryResponse> {
    checkAddress(url.hostname, this.#allowLoopback);
    const agent = { 'user-agent': 'ingot-builderd' };
    let response: RegistryResponse;
    try {
      response = await request(url, {
        dispatcher: this.#agent,
        headers: { ...agent, ...headers },
        signal,
      });
    } catch (cause) {
      signal.throwIfAborted();
      if (isIngotError(cause)) throw cause;
      throw new TransientFailure(describeNetworkError(cause), { cause });
    }
    const status = response.statusCode;
    if (status < 500 && status !== 429) return response;
    await response.body.dump();
    throw new TransientFailure(`it answered ${status}`, { status });
  }
}

function nextTarget(from: URL, location: string | string[] | undefined): URL {
  const text = Array.isArray(location) ? location[0] : location;
  const to = text !== undefined && URL.canParse(text, from.href) ? new URL(text, from) : undefined;
  const downgrade = from.protocol === 'https:' && to?.protocol !== 'https:';
  if (to && !downgrade && /^https?:$/.test(to.protocol)) return to;
  throw new IngotError('registry_denied', `${from.host} redirects to where builderd does not go`, {
    remedy: 'a registry must redirect to an https address; tell whoever runs it',
  });
}

function describeNetworkError(error: unknown): string {
  switch (errnoOf(error)) {
    case 'ECONNREFUSED':
      return 'nothing listens there';
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return 'its name cannot be resolved';
    case 'UND_ERR_CONNECT_TIMEOUT':
    case 'UND_ERR_HEADERS_TIMEOUT':
    case 'UND_ERR_BODY_TIMEOUT':
      return 'it does not answer in time';
    default:
      return messageOf(error);
  }
}
