import { IngotError } from '@ingot/daemon-kit';
import type { Deployment } from '../domain/deployment.ts';
import type { Context } from './context.ts';
import { orAbort } from './feed.ts';

/**
 * Writes down that the deployment shall be stopped or deleted, takes its route away at once, and
 * waits until its VMs are gone.
 *
 * @param kick - has the deployment looked at.
 * @param signal - ends the waiting, not what it waits for.
 * @throws IngotError deadline_exceeded when the host takes longer than the call may; it goes on.
 */
export async function endDeployment(
  context: Context,
  deployment: Deployment,
  wanted: 'stopped' | 'deleted',
  kick: (id: string) => void,
  signal: AbortSignal,
): Promise<Deployment | undefined> {
  const { store, feed, clock, settings } = context;
  const { id } = deployment;
  await store.want(id, wanted, clock.now());
  feed.notify(id, deployment.newest.id);
  kick(id);
  const limit = new AbortController();
  const seconds = settings.stopGraceSeconds + 20;
  const over = AbortSignal.any([signal, limit.signal]);
  clock.sleep(seconds * 1000, over).then(
    () => limit.abort(new IngotError('deadline_exceeded', stillGoing(deployment, seconds))),
    () => undefined,
  );
  try {
    for (;;) {
      const changed = feed.next(id);
      const current = await store.load(id);
      if (!current || current.deletedAt !== undefined) return undefined;
      if (current.desired !== wanted) return current;
      if (wanted === 'stopped' && current.vms.length === 0) return current;
      await orAbort(changed, over);
    }
  } finally {
    limit.abort();
  }
}

function stillGoing({ name }: Deployment, seconds: number): string {
  return `${name} is not gone from its host after ${seconds} s; this goes on in the background`;
}
