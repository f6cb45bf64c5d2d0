import { anyVeth, type SlotLayout, uplink, vethPrefix } from './slot-layout.ts';
import { formatSubnet, type Subnet } from './subnet.ts';

export function tableName(instanceId: string): string {
  return `ingot_${instanceId}`;
}

/** nft text that puts the instance's host-side rules in place, whatever was there, in one transaction. */
export function hostRules(instanceId: string, subnet: Subnet): string {
  const table = `inet ${tableName(instanceId)}`;
  const own = `"${vethPrefix(instanceId)}*"`;
  return `
add table ${table}
delete table ${table}
table ${table} {
  chain forward {
    type filter hook forward priority -10; policy accept;
    iifname ${own} oifname "${anyVeth}" drop
    iifname ${own} ip saddr != ${formatSubnet(subnet)} drop
    iifname ${own} ip daddr 169.254.0.0/16 drop
    iifname ${own} meta nfproto ipv6 drop
    oifname ${own} ct state established,related accept
    oifname ${own} drop
  }
  chain input {
    type filter hook input priority -10; policy accept;
    iifname ${own} ct state established,related accept
    iifname ${own} drop
  }
  chain postrouting {
    type nat hook postrouting priority 100; policy accept;
    ip saddr ${formatSubnet(subnet)} oifname != "${anyVeth}" masquerade
  }
}
`;
}

/**
 * Connections a guest may have open to the outside. The host tracks them all in one table (262,144
 * entries by default), which one guest could fill for everybody.
 */
const maxConnections = 4096;

/**
 * nft text for inside a slot's namespace. Connections to the guest come from the host alone: a late
 * answer to the slot's last tenant finds no way in. The guest speaks with its own address or not at all.
 */
export function slotRules({ slot, hostSideAddress }: SlotLayout): string {
  const { guestAddress, hostAddress, tap } = slot;
  return `
table inet ingot {
  chain prerouting {
    type nat hook prerouting priority -100; policy accept;
    iifname "${uplink}" ip saddr ${hostSideAddress} ip daddr ${hostAddress} dnat ip to ${guestAddress}
  }
  chain forward {
    type filter hook forward priority 0; policy drop;
    iifname "${tap}" oifname "${uplink}" ct state new ct count over ${maxConnections} drop
    iifname "${tap}" oifname "${uplink}" ip saddr ${guestAddress} accept
    iifname "${uplink}" oifname "${tap}" ct status dnat accept
    iifname "${uplink}" oifname "${tap}" ct state established,related accept
  }
  chain input {
    type filter hook input priority 0; policy drop;
    iifname "${tap}" ip saddr ${guestAddress} icmp type echo-request accept
    ct state established,related accept
  }
  chain postrouting {
    type nat hook postrouting priority 100; policy accept;
    oifname "${uplink}" ip saddr ${guestAddress} masquerade
  }
}
`;
}
