import type { Clock, KeyedMutex, Logger } from '@ingot/daemon-kit';
import type { AssetStore } from '../asset-store/asset-store.ts';
import type { Inbox } from '../inbox/inbox.ts';
import type { AssetRegistry } from '../registry/registry.ts';
import type { Staging } from '../staging/staging.ts';

/** What the actions work with. */
export interface Surroundings {
  readonly registry: AssetRegistry;
  readonly store: AssetStore;
  readonly staging: Staging;
  readonly inbox: Inbox;
  /** One change at a time per holder (`holder:…`) and per registration (`key:…`). */
  readonly mutex: KeyedMutex;
  readonly clock: Clock;
  readonly logger: Logger;
  /** A random lower-case UUID. */
  newId(): string;
}
