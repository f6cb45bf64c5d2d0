import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';

/**
 * An API key reads `ingot_<secret>_<checksum>`: 32 characters of base62 (190 bits) and the CRC-32
 * of everything before the last underscore as six characters of base62. The fixed shape lets
 * secret scanners find a leaked key (`ingot_[0-9A-Za-z]{32}_[0-9A-Za-z]{6}`) and the checksum lets
 * the gateway refuse a mistyped one without looking it up.
 */
const shape = /^(ingot_[0-9A-Za-z]{32})_([0-9A-Za-z]{6})$/;
const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const secretLength = 32;
/** "ingot_" and the first six characters of the secret: enough to tell keys apart. */
const prefixLength = 12;

/** Makes a key from random bytes. `randomBytes` answers with as many as asked for. */
export function mintApiKey(randomBytes: (size: number) => Uint8Array): string {
  let secret = '';
  while (secret.length < secretLength) {
    for (const byte of randomBytes(secretLength)) {
      // 248 is the largest multiple of 62 in a byte: bytes above it would favour some characters.
      if (byte < 248 && secret.length < secretLength) secret += alphabet[byte % 62];
    }
  }
  const body = `ingot_${secret}`;
  return `${body}_${checksumOf(body)}`;
}

/** Whether the text is a key whose checksum fits. Says nothing about its being in use. */
export function isApiKey(text: string): boolean {
  const match = shape.exec(text);
  return match?.[1] !== undefined && match[2] === checksumOf(match[1]);
}

/** The part of a key that may be shown. */
export function prefixOf(key: string): string {
  return key.slice(0, prefixLength);
}

/** What is stored of a key: its SHA-256, lower-case hex. A key is random, so it needs no salt. */
export function hashApiKey(key: string): string {
  return createHash('sha256').update(key).digest('hex');
}

function checksumOf(body: string): string {
  let rest = crc32(body);
  let text = '';
  for (let digit = 0; digit < 6; digit++) {
    text = alphabet[rest % 62] + text;
    rest = Math.floor(rest / 62);
  }
  return text;
}
