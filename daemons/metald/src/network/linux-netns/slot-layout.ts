import type { NetworkSlot } from '../network.ts';
import { formatAddress, guestSubnet, type Subnet } from './subnet.ts';

/** The namespace's end of the veth pair. */
export const uplink = 'up0';
/** Every veth of every instance begins with this: the rule that keeps VMs apart goes by it. */
export const anyVeth = 'ig*';

const tap = 'tap0';
const tapMac = '02:49:6e:00:00:01';
const guestMac = '02:49:6e:00:00:02';
const hostVethMac = '02:49:6e:00:01:01';
const uplinkMac = '02:49:6e:00:01:02';

/** Everything about a slot that follows from its index. */
export interface SlotLayout {
  slot: NetworkSlot;
  /** The host's own address on the veth pair: the only one that may open connections to the guest. */
  hostSideAddress: string;
  /** The user id that owns the tap. */
  uid: number;
  macs: { tap: string; hostVeth: string; uplink: string };
}

/** Short hex: what keeps two instances on one host apart. At most 6 digits, for a veth name has 15 characters. */
export const instanceIdPattern = /^[0-9a-f]{2,6}$/;

export function netnsPrefix(instanceId: string): string {
  return `ingot-${instanceId}-`;
}

export function vethPrefix(instanceId: string): string {
  return `ig${instanceId}n`;
}

/** Each slot has four addresses of the subnet: network, host, namespace, broadcast. */
export function layOut(
  index: number,
  options: { instanceId: string; subnet: Subnet; uidBase: number; nameservers: readonly string[] },
): SlotLayout {
  const first = options.subnet.base + index * 4;
  return {
    slot: {
      index,
      netns: `${netnsPrefix(options.instanceId)}${index}`,
      tap,
      guestMac,
      guestAddress: formatAddress(guestSubnet.base + 2),
      guestPrefixLength: guestSubnet.prefixLength,
      gateway: formatAddress(guestSubnet.base + 1),
      nameservers: options.nameservers,
      hostAddress: formatAddress(first + 2),
      vethName: `${vethPrefix(options.instanceId)}${index}`,
    },
    hostSideAddress: formatAddress(first + 1),
    uid: options.uidBase + index,
    macs: { tap: tapMac, hostVeth: hostVethMac, uplink: uplinkMac },
  };
}
