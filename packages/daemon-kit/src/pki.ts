import { X509Certificate, webcrypto } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
// The decorators inside @peculiar/x509 need this polyfill first.
import '@abraham/reflection';
import * as x509 from '@peculiar/x509';
import { errnoOf, IngotError } from './errors.ts';
import { loadIdentity } from './identity.ts';

x509.cryptoProvider.set(webcrypto);

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const dayMs = 24 * 60 * 60 * 1000;
const authorityDays = 3650;
const certificateDays = 365;
/** A certificate with less life left than this is made anew. */
const renewBeforeDays = 30;

/**
 * Makes the authority of this installation and a certificate for every name, where they are not
 * there yet or run out soon. Safe to repeat and to be cut short at any line.
 *
 * @param dir - "pki" in the data directory; made with mode 0700.
 */
export async function ensurePki(
  dir: string,
  names: readonly string[],
  now: number = Date.now(),
): Promise<void> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const authorityDir = join(dir, 'authority');
  if (!existsSync(authorityDir)) {
    await makeWhole(authorityDir, await makeAuthority(now));
  }
  for (const name of names) {
    if (await isFresh(dir, name, now)) continue;
    await rm(join(dir, name), { recursive: true, force: true });
    await makeWhole(join(dir, name), await issue(authorityDir, name, now));
  }
}

async function isFresh(dir: string, name: string, now: number): Promise<boolean> {
  try {
    const { certificate, authority } = await loadIdentity(dir, name);
    const parsed = new X509Certificate(certificate);
    const issued = parsed.verify(new X509Certificate(authority).publicKey);
    return issued && Date.parse(parsed.validTo) - now > renewBeforeDays * dayMs;
  } catch {
    return false;
  }
}

/** Writes the files into a directory that appears with all of them or not at all. */
async function makeWhole(dir: string, files: Record<string, string>): Promise<void> {
  const draft = await mkdtemp(join(dirname(dir), '.draft-'));
  try {
    for (const [name, text] of Object.entries(files)) {
      await writeFile(join(draft, name), text, { mode: name === 'key.pem' ? 0o600 : 0o644 });
    }
    await rename(draft, dir);
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    // Another process was quicker; its files are as good.
    if (errnoOf(error) !== 'ENOTEMPTY' && errnoOf(error) !== 'EEXIST') throw error;
  }
}

async function makeAuthority(now: number): Promise<Record<string, string>> {
  const keys = await generateKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: 'CN=Ingot authority',
    notBefore: new Date(now - dayMs),
    notAfter: new Date(now + authorityDays * dayMs),
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { 'certificate.pem': certificate.toString('pem'), 'key.pem': await exportKey(keys) };
}

async function issue(
  authorityDir: string,
  name: string,
  now: number,
): Promise<Record<string, string>> {
  const authority = new x509.X509Certificate(
    await readFile(join(authorityDir, 'certificate.pem'), 'utf8'),
  );
  const signingKey = await importKey(await readFile(join(authorityDir, 'key.pem'), 'utf8'));
  const keys = await generateKeys();
  const usages = ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2'];
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: `CN=${name}`,
    issuer: authority.subject,
    notBefore: new Date(now - dayMs),
    notAfter: new Date(now + certificateDays * dayMs),
    signingAlgorithm: algorithm,
    signingKey,
    publicKey: keys.publicKey,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension(usages),
      new x509.SubjectAlternativeNameExtension([
        { type: 'url', value: `spiffe://ingot/${name}` },
        { type: 'dns', value: 'localhost' },
        { type: 'ip', value: '127.0.0.1' },
      ]),
      await x509.AuthorityKeyIdentifierExtension.create(authority.publicKey),
    ],
  });
  return { 'certificate.pem': certificate.toString('pem'), 'key.pem': await exportKey(keys) };
}

function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
}

async function exportKey(keys: webcrypto.CryptoKeyPair): Promise<string> {
  const der = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
  return x509.PemConverter.encode(der, 'PRIVATE KEY');
}

async function importKey(pem: string): Promise<webcrypto.CryptoKey> {
  const [der] = x509.PemConverter.decode(pem);
  if (der === undefined) throw new IngotError('config_invalid', 'the authority key is not PEM');
  return webcrypto.subtle.importKey('pkcs8', der, algorithm, false, ['sign']);
}

/** 16 random bytes as hex, positive as RFC 5280 asks. */
function serialNumber(): string {
  const bytes = webcrypto.getRandomValues(new Uint8Array(16));
  bytes[0] = (bytes[0] ?? 0) & 0x7f;
  return Buffer.from(bytes).toString('hex');
}
