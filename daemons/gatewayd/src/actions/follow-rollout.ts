import type { StoredEvent } from '../domain/deployment.ts';
import type { Context } from './context.ts';
import { orAbort } from './feed.ts';

/**
 * The rollout's events from the first one, as they come; ends with its last. They are in the
 * books, so it does not matter how often or by whom they are followed.
 */
export async function* followRollout(
  { store, feed }: Context,
  rolloutId: string,
  signal: AbortSignal,
): AsyncGenerator<StoredEvent> {
  let seen = 0;
  for (;;) {
    const changed = feed.next(rolloutId);
    for (const event of await store.eventsAfter(rolloutId, seen)) {
      seen = event.seq;
      yield event;
      if (event.body.kind === 'ready' || event.body.kind === 'failed') return;
    }
    await orAbort(changed, signal);
  }
}
