import type { Client } from '@connectrpc/connect';
import type { asset } from '@ingot/contracts';
import type { Clock, KeyedMutex, Logger, Random } from '@ingot/daemon-kit';
import type { BuildStore } from '../build-store/build-store.ts';
import type { BuildWorkspace } from '../build-workspace/build-workspace.ts';
import type { BuildPolicy } from '../domain/policy.ts';
import type { ImageSource } from '../image-source/image-source.ts';
import type { LayerStore } from '../layer-store/layer-store.ts';
import type { RootfsWriter } from '../rootfs-writer/rootfs-writer.ts';
import type { BuildFeed } from './build-feed.ts';

export type AssetClient = Pick<
  Client<typeof asset.AssetManagerService>,
  'registerAsset' | 'getAsset'
>;

/** What the actions stand on. */
export interface BuildContext {
  readonly store: BuildStore;
  readonly feed: BuildFeed;
  readonly images: ImageSource;
  readonly layers: LayerStore;
  readonly rootfs: RootfsWriter;
  readonly workspace: BuildWorkspace;
  readonly assets: AssetClient;
  /** One build at a time per tenant and image, so that the second finds the first one's result. */
  readonly perImage: KeyedMutex;
  readonly policy: BuildPolicy;
  /** This host's, as Go names it: amd64, arm64. */
  readonly architecture: string;
  readonly buildTimeoutMs: number;
  /** How long assetmanagerd may be away before a build fails. */
  readonly assetWaitMs: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}
