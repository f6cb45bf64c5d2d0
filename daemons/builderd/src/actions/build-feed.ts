/** Tells followers that some build has changed; they look for themselves what it was. */
export class BuildFeed {
  #next = Promise.withResolvers<void>();

  /** Resolves at the next change. Take it before looking, or a change in between is missed. */
  changed(): Promise<void> {
    return this.#next.promise;
  }

  publish(): void {
    this.#next.resolve();
    this.#next = Promise.withResolvers<void>();
  }
}
