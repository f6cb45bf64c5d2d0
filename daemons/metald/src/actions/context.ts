import type { Client } from '@connectrpc/connect';
import type { asset } from '@ingot/contracts';
import type { Clock, KeyedMutex, Logger } from '@ingot/daemon-kit';
import type { AppProbe } from '../app-probe/app-probe.ts';
import type { Hypervisor } from '../hypervisor/hypervisor.ts';
import type { Metering } from '../metering/metering.ts';
import type { Network } from '../network/network.ts';
import type { VmStore } from '../vm-store/vm-store.ts';
import type { AttachedVmms } from './attached-vmms.ts';
import type { VmFeed } from './vm-feed.ts';

/** What the actions work with. */
export interface Context {
  readonly store: VmStore;
  readonly hypervisor: Hypervisor;
  readonly network: Network;
  readonly metering: Metering;
  readonly assets: Pick<
    Client<typeof asset.AssetManagerService>,
    'getAsset' | 'listAssets' | 'prepareAssets' | 'renewLease' | 'releaseAsset'
  >;
  readonly appProbe: AppProbe;
  readonly clock: Clock;
  readonly logger: Logger;
  /** By VM id: steps of one VM never interleave. */
  readonly mutex: KeyedMutex;
  readonly attached: AttachedVmms;
  readonly feed: VmFeed;
  /** Each VM's own directory is in here. */
  readonly vmsDir: string;
  readonly uidBase: number;
  readonly leaseSeconds: number;
}
