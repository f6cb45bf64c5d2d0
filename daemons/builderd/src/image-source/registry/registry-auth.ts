import { IngotError } from '@ingot/daemon-kit';
import { z } from 'zod';

export interface RegistryAccount {
  readonly username: string;
  readonly password: string;
}

/** What a 401 asks for (RFC 9110, 11.6.1; distribution's token specification). */
export type Challenge =
  | { readonly scheme: 'basic' }
  | { readonly scheme: 'bearer'; readonly realm: string; readonly service: string };

const tokenSchema = z.object({ token: z.string().optional(), access_token: z.string().optional() });

/** Reads a WWW-Authenticate header; undefined when it asks for nothing we can do. */
export function parseChallenge(header: string): Challenge | undefined {
  const [scheme = '', ...rest] = header.trim().split(/\s+/);
  if (scheme.toLowerCase() === 'basic') return { scheme: 'basic' };
  if (scheme.toLowerCase() !== 'bearer') return undefined;
  const parameters = new Map<string, string>();
  for (const [, key = '', quoted, plain] of rest
    .join(' ')
    .matchAll(/([a-z_]+)=(?:"([^"]*)"|([^,\s]*))/gi)) {
    parameters.set(key.toLowerCase(), quoted ?? plain ?? '');
  }
  const realm = parameters.get('realm');
  if (realm === undefined) return undefined;
  return { scheme: 'bearer', realm, service: parameters.get('service') ?? '' };
}

export function basicAuthorization({ username, password }: RegistryAccount): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}

/** Where to ask for a token that may pull from a repository. @throws IngotError registry_denied */
export function tokenUrl(
  challenge: Extract<Challenge, { scheme: 'bearer' }>,
  repository: string,
): URL {
  if (!URL.canParse(challenge.realm)) {
    throw new IngotError('registry_denied', 'the registry asks for a token from nowhere', {
      remedy: 'its WWW-Authenticate header has no valid realm; tell whoever runs it',
    });
  }
  const url = new URL(challenge.realm);
  if (challenge.service !== '') url.searchParams.set('service', challenge.service);
  url.searchParams.set('scope', `repository:${repository}:pull`);
  return url;
}

/** The Authorization header a token server's answer stands for. @throws IngotError registry_denied */
export function bearerAuthorization(answer: Uint8Array): string {
  try {
    const { token, access_token: accessToken } = tokenSchema.parse(
      JSON.parse(new TextDecoder().decode(answer)),
    );
    const value = token ?? accessToken;
    if (value !== undefined && /^[\x21-\x7e]+$/.test(value)) return `Bearer ${value}`;
  } catch {
    // Said below: what a token server answers is not shown, it may hold a secret.
  }
  throw new IngotError('registry_denied', 'the token server of the registry gave no token', {
    remedy: 'check the account for this registry in the setting `registries` of builderd',
  });
}
