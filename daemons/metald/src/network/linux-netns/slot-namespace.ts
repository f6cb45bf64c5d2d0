import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { runCommand } from '@ingot/daemon-kit';
import { slotRules } from './rules.ts';
import { type SlotLayout, uplink } from './slot-layout.ts';

const timeoutMs = 20_000;
const namespaceDir = '/run/netns';

/** Runs `ip` commands in one process. */
export async function ipBatch(
  lines: readonly string[],
  options: { netns?: string } = {},
): Promise<void> {
  const where = options.netns === undefined ? [] : ['-n', options.netns];
  await runCommand('ip', [...where, '-batch', '-'], { input: `${lines.join('\n')}\n`, timeoutMs });
}

/** Feeds nft text to nft, on the host or in a namespace. All of it takes effect or nothing. */
export async function nftLoad(text: string, options: { netns?: string } = {}): Promise<void> {
  if (options.netns === undefined) await runCommand('nft', ['-f', '-'], { input: text, timeoutMs });
  else {
    const args = ['netns', 'exec', options.netns, 'nft', '-f', '-'];
    await runCommand('ip', args, { input: text, timeoutMs });
  }
}

/**
 * Makes the namespace, the tap, the veth pair and the rules. The host's end of the pair goes up last:
 * a slot is whole when, and only when, it is up.
 */
export async function makeNamespace(layout: SlotLayout): Promise<void> {
  const { slot, hostSideAddress, uid, macs } = layout;
  const { netns, tap, vethName, hostAddress, gateway, guestPrefixLength } = slot;
  await ipBatch([
    `netns add ${netns}`,
    `netns exec ${netns} sysctl -eqw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1 net.ipv4.ip_forward=1`,
    `link add ${vethName} address ${macs.hostVeth} type veth peer name ${uplink} address ${macs.uplink} netns ${netns}`,
  ]);
  // Before it is up: the kernel's own IPv6 chatter would be counted as the guest's traffic.
  await writeFile(`/proc/sys/net/ipv6/conf/${vethName}/disable_ipv6`, '1').catch(() => undefined);
  await nftLoad(slotRules(layout), { netns });
  await ipBatch(
    [
      'link set lo up',
      `tuntap add ${tap} mode tap user ${uid} group ${uid}`,
      `link set ${tap} address ${macs.tap} up`,
      `address add ${gateway}/${guestPrefixLength} dev ${tap}`,
      // Permanent: what is sent before the guest is up is dropped, not held back by ARP retries.
      `neighbour replace ${slot.guestAddress} lladdr ${slot.guestMac} nud permanent dev ${tap}`,
      `link set ${uplink} up`,
      `address add ${hostAddress}/30 dev ${uplink}`,
      // No ARP on the pair either: its counters are the guest's.
      `neighbour replace ${hostSideAddress} lladdr ${macs.hostVeth} nud permanent dev ${uplink}`,
      `route add default via ${hostSideAddress}`,
    ],
    { netns },
  );
  await ipBatch([
    `address add ${hostSideAddress}/30 dev ${vethName}`,
    `link set ${vethName} up`,
    `neighbour replace ${hostAddress} lladdr ${macs.uplink} nud permanent dev ${vethName}`,
  ]);
}

/** Removes what there is of a slot. The veth pair goes at once; a process still in the namespace keeps the rest alive. */
export async function removeNamespace(names: { netns: string; vethName: string }): Promise<void> {
  const left = (): string[] => [
    ...(existsSync(`/sys/class/net/${names.vethName}`) ? [`link delete ${names.vethName}`] : []),
    ...(existsSync(`${namespaceDir}/${names.netns}`) ? [`netns delete ${names.netns}`] : []),
  ];
  const lines = left();
  if (lines.length === 0) return;
  try {
    await ipBatch(lines);
  } catch (error) {
    // Somebody else, such as `ingot down`, may have been faster: what counts is that it is gone.
    if (left().length > 0) throw error;
  }
}

/** Whether the slot was made to its end. */
export async function isWhole(names: { netns: string; vethName: string }): Promise<boolean> {
  if (!existsSync(`${namespaceDir}/${names.netns}`)) return false;
  const flags = await readFile(`/sys/class/net/${names.vethName}/flags`, 'utf8').catch(() => '0');
  const interfaceIsUp = 1;
  return (Number(flags.trim()) & interfaceIsUp) !== 0;
}
