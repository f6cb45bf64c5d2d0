import type { BuildStep } from '../domain/build.ts';
import type { BuildPatch } from '../build-store/build-store.ts';
import type { BuildContext } from './build-context.ts';

/** The record of one running build: where it is, and its log. */
export class BuildJournal {
  readonly #context: BuildContext;
  readonly #buildId: string;
  #step: BuildStep = 'resolve';

  constructor(context: BuildContext, buildId: string) {
    this.#context = context;
    this.#buildId = buildId;
  }

  get step(): BuildStep {
    return this.#step;
  }

  async enter(step: BuildStep): Promise<void> {
    this.#step = step;
    await this.update({ step });
  }

  async update(patch: BuildPatch): Promise<void> {
    await this.#context.store.update(this.#buildId, patch);
    this.#context.feed.publish();
  }

  async log(line: string): Promise<void> {
    const { store, feed, clock } = this.#context;
    await store.appendLog(this.#buildId, { atMs: clock.now(), step: this.#step, line });
    feed.publish();
  }
}
