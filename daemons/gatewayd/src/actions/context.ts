import type { Client } from '@connectrpc/connect';
import type { builder, metal } from '@ingot/contracts';
import type { Clock, Logger } from '@ingot/daemon-kit';
import type { Settings } from '../config.ts';
import type { Deployment } from '../domain/deployment.ts';
import type { DeploymentStore } from '../store/deployment-store.ts';
import type { Feed } from './feed.ts';

/** What the gateway's actions work with. */
export interface Context {
  store: DeploymentStore;
  builder: Client<typeof builder.BuilderService>;
  metal: Client<typeof metal.VmService>;
  routes: Routes;
  /** Told after every commit: the rollout's id for its events, the deployment's for its state. */
  feed: Feed;
  clock: Clock;
  logger: Logger;
  /** A fresh random UUID. */
  newId: () => string;
  settings: Settings;
  /**
   * Options of one call to another daemon: cut off after 30 s (and `moreMs`) and then tried again,
   * or when the gateway stops.
   */
  call(moreMs?: number): { timeoutMs: number; signal: AbortSignal };
}

/** Customers' traffic, as far as actions are concerned. */
export interface Routes {
  /** Makes requests for the deployment's name go where the books say. */
  apply(deployment: Deployment): void;
  /** The name is unknown from now on. */
  remove(name: string): void;
  /** Resolves when no request of the VM is running, or after `ms`. */
  drained(vmId: string, ms: number, signal: AbortSignal): Promise<void>;
  /** Cuts what still runs and closes every connection to the VM. */
  close(vmId: string): Promise<void>;
}
