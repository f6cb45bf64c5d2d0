import { IngotError } from '@ingot/daemon-kit';

/** A range of IPv4 addresses. */
export interface Subnet {
  /** The first address as a number. */
  base: number;
  /** At most 30. */
  prefixLength: number;
}

/** 172.30.0.0/30: the same two addresses in every namespace. */
export const guestSubnet: Subnet = { base: 0xac_1e_00_00, prefixLength: 30 };

/** @throws IngotError config_invalid for anything but an IPv4 range such as "10.77.0.0/16". */
export function parseSubnet(text: string): Subnet {
  const match = /^(\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3})\/(\d{1,2})$/.exec(text);
  const base = parseAddress(match?.[1] ?? '');
  const prefixLength = Number(match?.[2]);
  const subnet = { base: base ?? 0, prefixLength };
  if (base === undefined || prefixLength > 30 || base % sizeOf(subnet) !== 0) {
    throw new IngotError('config_invalid', `${text} is not a range of IPv4 addresses`, {
      remedy: 'give the first address and the prefix length, such as 10.77.0.0/16',
    });
  }
  if (overlap(subnet, guestSubnet)) {
    throw new IngotError('config_invalid', `${text} overlaps the guests' own 172.30.0.0/30`);
  }
  return subnet;
}

export function formatSubnet(subnet: Subnet): string {
  return `${formatAddress(subnet.base)}/${subnet.prefixLength}`;
}

export function parseAddress(text: string): number | undefined {
  const parts = text.split('.').map(Number);
  const valid = parts.length === 4 && parts.every((p) => Number.isInteger(p) && p >= 0 && p < 256);
  return valid ? parts.reduce((sum, part) => sum * 256 + part, 0) : undefined;
}

export function formatAddress(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join('.');
}

export function sizeOf(subnet: Subnet): number {
  return 2 ** (32 - subnet.prefixLength);
}

export function overlap(a: Subnet, b: Subnet): boolean {
  return a.base < b.base + sizeOf(b) && b.base < a.base + sizeOf(a);
}

/**
 * The first private range that overlaps nothing in use: a /16 of 10.64.0.0/10, else a /20 of
 * 172.16.0.0/12. The search begins at a place of the instance's own, so that two instances starting
 * at once choose differently.
 *
 * @throws IngotError config_invalid when every one of them is in use.
 */
export function chooseSubnet(inUse: readonly Subnet[], instanceId: string): Subnet {
  const ranges = (first: string, prefixLength: number, count: number): Subnet[] => {
    const size = sizeOf({ base: 0, prefixLength });
    const offset = Number.parseInt(instanceId, 16) || 0;
    return Array.from({ length: count }, (_, index) => ({
      base: (parseAddress(first) ?? 0) + ((index + offset) % count) * size,
      prefixLength,
    }));
  };
  const candidates = [...ranges('10.64.0.0', 16, 64), ...ranges('172.16.0.0', 20, 256)];
  const free = candidates.find(
    (one) => ![guestSubnet, ...inUse].some((used) => overlap(one, used)),
  );
  if (free) return free;
  throw new IngotError('config_invalid', 'no private range is free for the VMs on this host', {
    remedy: 'set "subnet" to a range this host does not need',
  });
}

/** The ranges named in the JSON of `ip -j route show table all` and `ip -j address`. Default routes are not ranges. */
export function subnetsInUse(routesJson: string, addressesJson: string): Subnet[] {
  const routes = JSON.parse(routesJson || '[]') as { dst?: string }[];
  const links = JSON.parse(addressesJson || '[]') as {
    addr_info?: { local?: string; prefixlen?: number }[];
  }[];
  const texts = [
    ...routes.map(({ dst }) => dst ?? ''),
    ...links.flatMap((link) =>
      (link.addr_info ?? []).map(({ local, prefixlen }) => `${local}/${prefixlen}`),
    ),
  ];
  return texts.flatMap((text) => {
    const [address = '', length = '32'] = text.split('/');
    const parsed = parseAddress(address);
    const prefixLength = Number(length);
    if (parsed === undefined || !(prefixLength > 0)) return [];
    const size = 2 ** (32 - prefixLength);
    return [{ base: parsed - (parsed % size), prefixLength }];
  });
}
