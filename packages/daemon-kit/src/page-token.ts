import type { z } from 'zod';
import { IngotError } from './errors.ts';

/** Where the next page starts, as text that means nothing to the caller. */
export function encodePageToken(position: unknown): string {
  return Buffer.from(JSON.stringify(position)).toString('base64url');
}

/**
 * The position in a page token; undefined for the empty token of a first page.
 *
 * @throws IngotError invalid_argument for a token that no listing gave out.
 */
export function decodePageToken<S extends z.ZodType>(
  schema: S,
  token: string,
): z.infer<S> | undefined {
  if (token === '') return undefined;
  try {
    return schema.parse(JSON.parse(Buffer.from(token, 'base64url').toString('utf8')));
  } catch (cause) {
    throw new IngotError('invalid_argument', 'the page token is not one this listing gave out', {
      remedy: 'start again without a page token',
      cause,
    });
  }
}
