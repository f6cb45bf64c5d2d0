/** One VM's place on the network: a namespace of its own with a tap, and an address on this host. */
export interface NetworkSlot {
  /** 0 … capacity − 1; also decides the VMM's uid. */
  index: number;
  netns: string;
  tap: string;
  guestMac: string;
  /** The same in every namespace, so that a snapshot can be restored in any of them. */
  guestAddress: string;
  guestPrefixLength: number;
  gateway: string;
  nameservers: readonly string[];
  /** Where this host reaches the guest: every TCP port of it is forwarded to the guest. */
  hostAddress: string;
  /** The host's end of the veth pair; its counters in /proc/net/dev are the VM's traffic. */
  vethName: string;
}

/** Network slots of one host, pre-made so that taking one costs nothing. */
export interface Network {
  /** Makes tables and forwarding, adopts slots in use, removes what an earlier life left over. */
  start(inUse: ReadonlyMap<string, number>): Promise<void>;
  /** Gives the VM a slot; the same VM always gets the same one until it is released. */
  take(vmId: string): Promise<NetworkSlot>;
  /** Destroys the slot's namespace with all in it. Releasing twice is not an error. */
  release(vmId: string): Promise<void>;
  /** Stops refilling; slots in use stay, spare ones are removed. */
  stop(): Promise<void>;
  /** Removes every trace of this instance from the host: for `ingot down`. */
  removeAll(): Promise<void>;
}
