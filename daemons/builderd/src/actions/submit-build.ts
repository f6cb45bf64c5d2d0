import { randomUUID } from 'node:crypto';
import { IngotError } from '@ingot/daemon-kit';
import type { Build } from '../domain/build.ts';
import { parseImageReference } from '../domain/image-reference.ts';
import type { BuildContext } from './build-context.ts';

/**
 * Puts a build into the queue, or answers with the one that has the same tenant and key.
 *
 * @throws IngotError invalid_argument for what is no image reference, already_exists when the key
 *   stands for another image.
 */
export async function submitBuild(
  { store, clock }: Pick<BuildContext, 'store' | 'clock'>,
  request: { tenantId: string; image: string; idempotencyKey: string },
): Promise<Build> {
  parseImageReference(request.image);
  const build = await store.add({ id: randomUUID(), ...request, createdAtMs: clock.now() });
  if (build.image === request.image) return build;
  throw new IngotError(
    'already_exists',
    `the idempotency key ${request.idempotencyKey} belongs to a build of ${build.image}`,
    { remedy: 'use a new key for another image', facts: { buildId: build.id } },
  );
}
