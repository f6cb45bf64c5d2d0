import type { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { IngotError } from './errors.ts';

/** Who a daemon is: its certificate, its key and the authority both sides trust. PEM. */
export interface Identity {
  name: string;
  certificate: string;
  privateKey: string;
  authority: string;
}

/**
 * Reads one daemon's identity.
 *
 * @throws IngotError config_invalid when `ingot up` has not made it.
 */
export async function loadIdentity(dir: string, name: string): Promise<Identity> {
  const read = (...path: string[]): Promise<string> => readFile(join(dir, ...path), 'utf8');
  try {
    return {
      name,
      certificate: await read(name, 'certificate.pem'),
      privateKey: await read(name, 'key.pem'),
      authority: await read('authority', 'certificate.pem'),
    };
  } catch (cause) {
    throw new IngotError('config_invalid', `there is no certificate for ${name} in ${dir}`, {
      remedy: '`ingot up` makes the certificates; start the daemon through it once',
      cause,
    });
  }
}

/** The identity a certificate speaks for, from its URI subject alternative name. */
export function identityOf(certificate: X509Certificate): string | undefined {
  return /(?:^|, )URI:spiffe:\/\/ingot\/([a-z][a-z0-9-]*)(?:,|$)/.exec(
    certificate.subjectAltName ?? '',
  )?.[1];
}
