import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { IngotError, type Logger, runCommand } from '@ingot/daemon-kit';
import type { Network, NetworkSlot } from '../network.ts';
import { SlotPool } from '../slot-pool.ts';
import { readNameservers } from './nameservers.ts';
import { hostRules, tableName } from './rules.ts';
import {
  instanceIdPattern,
  layOut,
  netnsPrefix,
  type SlotLayout,
  vethPrefix,
} from './slot-layout.ts';
import { ipBatch, isWhole, makeNamespace, nftLoad, removeNamespace } from './slot-namespace.ts';
import {
  chooseSubnet,
  formatSubnet,
  parseSubnet,
  sizeOf,
  type Subnet,
  subnetsInUse,
} from './subnet.ts';

export interface LinuxNetnsSettings {
  /** 2 to 6 hex digits; tells the instances on one host apart. Never changes for a data directory. */
  instanceId: string;
  /** Where the chosen subnet is kept. */
  stateDir: string;
  /** An IPv4 range for the host's side of the slots, four addresses each; chosen and kept when left out. */
  subnet?: string | undefined;
  /** Slots there can be at once. */
  capacity: number;
  /** Unused slots kept ready. */
  spare: number;
  /** The tap of slot n belongs to user and group uidBase + n. */
  uidBase: number;
  /** For the guests; the host's own when left out. */
  nameservers?: readonly string[] | undefined;
}

/**
 * A network namespace per VM, with `ip` and `nft`. Everything it makes on the host carries the
 * instance id in its name, so what is there can always be told from what should be.
 */
export class LinuxNetnsNetwork implements Network {
  readonly #settings: LinuxNetnsSettings;
  readonly #logger: Logger;
  readonly #pool: SlotPool;
  #place: { subnet: Subnet; nameservers: readonly string[] } | undefined;

  constructor(settings: LinuxNetnsSettings, logger: Logger) {
    if (!instanceIdPattern.test(settings.instanceId)) {
      throw new IngotError('config_invalid', `"${settings.instanceId}" is not 2 to 6 hex digits`);
    }
    this.#settings = settings;
    this.#logger = logger;
    const names = (index: number): SlotLayout => this.#layOut(index);
    this.#pool = new SlotPool({
      ...settings,
      logger,
      maker: {
        make: async (index) => {
          await makeNamespace(names(index));
          return names(index).slot;
        },
        destroy: (index) => removeNamespace(names(index).slot),
      },
    });
  }

  async start(inUse: ReadonlyMap<string, number>): Promise<void> {
    const { instanceId, capacity } = this.#settings;
    const subnet = await this.#decideSubnet();
    const room = Math.floor(sizeOf(subnet) / 4);
    if (capacity > room) {
      throw new IngotError('config_invalid', `${formatSubnet(subnet)} has room for ${room} slots`, {
        remedy: `set the number of slots to ${room} or less, or give a larger subnet`,
      });
    }
    this.#place = { subnet, nameservers: await readNameservers(this.#settings.nameservers) };
    await this.#enableForwarding();
    await nftLoad(hostRules(instanceId, subnet));
    // Marks the range as taken, and keeps what is sent to a slot that is not there off the default route.
    await ipBatch([`route replace unreachable ${formatSubnet(subnet)} metric ${reservedMetric}`]);
    await this.#removeSlots(new Set(inUse.values()));
    this.#pool.start(await this.#adopt(inUse));
  }

  take(vmId: string): Promise<NetworkSlot> {
    return this.#pool.take(vmId);
  }

  release(vmId: string): Promise<void> {
    return this.#pool.release(vmId);
  }

  stop(): Promise<void> {
    return this.#pool.stop();
  }

  async removeAll(): Promise<void> {
    await this.#pool.stop();
    await this.#removeSlots(new Set());
    const table = `inet ${tableName(this.#settings.instanceId)}`;
    await nftLoad(`add table ${table}\ndelete table ${table}\n`);
    const subnet = await this.#knownSubnet();
    if (!subnet) return;
    const route = `unreachable ${formatSubnet(subnet)} metric ${reservedMetric}`;
    // "replace" first, so that deleting cannot fail for want of it.
    await ipBatch([`route replace ${route}`, `route delete ${route}`]);
  }

  #layOut(index: number): SlotLayout {
    const { instanceId, uidBase } = this.#settings;
    if (!this.#place) throw new Error('the network was not started');
    return layOut(index, { instanceId, uidBase, ...this.#place });
  }

  async #adopt(inUse: ReadonlyMap<string, number>): Promise<Map<string, NetworkSlot>> {
    const adopted = new Map<string, NetworkSlot>();
    for (const [vmId, index] of inUse) {
      const layout = this.#layOut(index);
      if (!(await isWhole(layout.slot))) {
        // After a reboot of the host: the VM is gone, but it keeps its slot and may boot in it again.
        await removeNamespace(layout.slot);
        await makeNamespace(layout);
      }
      adopted.set(vmId, layout.slot);
    }
    return adopted;
  }

  /** Removes every slot of this instance whose index is not kept. */
  async #removeSlots(keep: ReadonlySet<number>): Promise<void> {
    const { instanceId } = this.#settings;
    const found = new Set<number>();
    for (const [dir, prefix] of [
      ['/run/netns', netnsPrefix(instanceId)],
      ['/sys/class/net', vethPrefix(instanceId)],
    ] as const) {
      for (const name of await readdir(dir).catch(() => [])) {
        const rest = name.startsWith(prefix) ? name.slice(prefix.length) : '';
        if (/^\d+$/.test(rest)) found.add(Number(rest));
      }
    }
    for (const index of found) {
      if (keep.has(index)) continue;
      await removeNamespace({
        netns: `${netnsPrefix(instanceId)}${index}`,
        vethName: `${vethPrefix(instanceId)}${index}`,
      });
    }
  }

  async #decideSubnet(): Promise<Subnet> {
    const known = await this.#knownSubnet();
    if (known) return known;
    const timeoutMs = 10_000;
    const routes = await runCommand('ip', ['-j', '-4', 'route', 'show', 'table', 'all'], {
      timeoutMs,
    });
    const addresses = await runCommand('ip', ['-j', '-4', 'address'], { timeoutMs });
    const used = subnetsInUse(routes.stdout, addresses.stdout);
    const subnet = chooseSubnet(used, this.#settings.instanceId);
    await mkdir(this.#settings.stateDir, { recursive: true });
    await writeFile(`${this.#subnetFile}.new`, `${formatSubnet(subnet)}\n`, { flush: true });
    await rename(`${this.#subnetFile}.new`, this.#subnetFile);
    return subnet;
  }

  async #knownSubnet(): Promise<Subnet | undefined> {
    if (this.#settings.subnet !== undefined) return parseSubnet(this.#settings.subnet);
    const kept = await readFile(this.#subnetFile, 'utf8').catch(() => undefined);
    return kept === undefined ? undefined : parseSubnet(kept.trim());
  }

  get #subnetFile(): string {
    return join(this.#settings.stateDir, 'subnet');
  }

  async #enableForwarding(): Promise<void> {
    const file = '/proc/sys/net/ipv4/ip_forward';
    if ((await readFile(file, 'utf8')).trim() === '1') return;
    try {
      await writeFile(file, '1');
    } catch (cause) {
      throw new IngotError('not_root', 'cannot turn on IPv4 forwarding', {
        remedy: 'run metald as root',
        cause,
      });
    }
    // It stays on when metald goes: whether anything else has come to rely on it cannot be known.
    this.#logger.warn('turned on IPv4 forwarding (net.ipv4.ip_forward) for the VMs');
  }
}

/** Above every metric the slots' own routes have. */
const reservedMetric = 4_000_000;
