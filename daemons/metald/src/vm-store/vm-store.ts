import type { Vm } from '../domain/vm.ts';

export interface VmQuery {
  /** "" is any. */
  tenantId: string;
  deploymentId: string;
  /** The last VM of the page before. */
  after?: { createdAtMs: number; id: string } | undefined;
  limit: number;
}

/** The VMs of this host. Every write is on disk when it answers. */
export interface VmStore {
  /** This host's id, made at the first start: a UUID. */
  readonly hostId: string;
  get(id: string): Promise<Vm | undefined>;
  /** Writes the VM as a whole, new or not. */
  put(vm: Vm): Promise<void>;
  remove(id: string): Promise<void>;
  /** All that are not DELETED, and DELETED ones that something is still to be done for. */
  unsettled(): Promise<Vm[]>;
  /** Oldest first. Without VMs in creation; with DELETED ones while they are remembered. */
  list(query: VmQuery): Promise<Vm[]>;
  /** Forgets settled DELETED VMs but the newest `keep` of those deleted at or after `beforeMs`. */
  forgetDeleted(beforeMs: number, keep: number): Promise<void>;
  close(): Promise<void>;
}
