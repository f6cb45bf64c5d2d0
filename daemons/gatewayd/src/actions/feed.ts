import { IngotError, isIngotError } from '@ingot/daemon-kit';

/** Wakes those who wait for something in the books to change. It carries no data: they read again. */
export class Feed {
  readonly #waiting = new Map<string, PromiseWithResolvers<void>>();

  /** Resolves at the next `notify` of the key. Ask before reading, so that no change is missed. */
  next(key: string): Promise<void> {
    let entry = this.#waiting.get(key);
    if (!entry) {
      entry = Promise.withResolvers<void>();
      this.#waiting.set(key, entry);
    }
    return entry.promise;
  }

  notify(...keys: string[]): void {
    for (const key of keys) {
      this.#waiting.get(key)?.resolve();
      this.#waiting.delete(key);
    }
  }
}

/**
 * The promise's value.
 *
 * @throws IngotError the signal's reason when it aborts first; cancelled when the caller went away.
 */
export function orAbort<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      const reason: unknown = signal.reason;
      reject(isIngotError(reason) ? reason : new IngotError('cancelled', 'the caller went away'));
    };
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
