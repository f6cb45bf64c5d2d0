import { readFile } from 'node:fs/promises';
import { parseAddress } from './subnet.ts';

/**
 * The name servers for guests: those of the settings, else the IPv4 ones of the host's
 * /etc/resolv.conf that a guest can reach. None is possible; then guests resolve no names.
 */
export async function readNameservers(
  configured: readonly string[] | undefined,
): Promise<readonly string[]> {
  if (configured) return configured;
  return parseResolvConf(await readFile('/etc/resolv.conf', 'utf8').catch(() => ''));
}

/** Loopback is the host's own, and link-local is closed to guests. */
export function parseResolvConf(text: string): string[] {
  return text
    .split('\n')
    .map((line) => /^\s*nameserver\s+(\S+)/.exec(line)?.[1] ?? '')
    .filter(
      (address) => parseAddress(address) !== undefined && !/^(127|0|169\.254)\./.test(address),
    )
    .slice(0, 3);
}
