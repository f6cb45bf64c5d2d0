import { setTimeout as delay } from 'node:timers/promises';
import { gateway } from '@ingot/contracts';
import { isIngotError } from '@ingot/daemon-kit';
import { publish, staticImage } from '../system/images.ts';
import { type CommandResult, type Instance, until } from '../system/instance.ts';
import type { ChaosRegistry } from './faults.ts';
import type { Action } from './plan.ts';

/** The one deployment there is: with its successor during a redeploy, two VMs at most. */
const name = 'shop';
const endsWithinMs = 180_000;

export type Outcome = 'ready' | 'failed' | 'refused' | 'done' | 'endless';

/** Does what a customer does, with the `ingot` command, and says what does not end as it should. */
export class Customer {
  readonly #instance: Instance;
  readonly #registry: ChaosRegistry;
  readonly #mark: string;
  readonly #complain: (what: string) => void;
  #images = 0;
  #image = '';

  constructor(
    instance: Instance,
    registry: ChaosRegistry,
    mark: string,
    complain: (what: string) => void,
  ) {
    this.#instance = instance;
    this.#registry = registry;
    this.#mark = mark;
    this.#complain = complain;
  }

  /** Has what the action needs: an image nobody built yet, or a deployment that runs. */
  async prepare(action: Action): Promise<void> {
    if (action === 'deploy' || this.#image === '') {
      const image = await staticImage(`${this.#mark}-${++this.#images}`);
      this.#image = await publish(this.#registry.at, `app-${this.#images}`, image);
    }
    if (action === 'deploy' || action === 'redeploy') return;
    const { state } = (await this.deployment()) ?? {};
    if (state !== gateway.DeploymentState.READY) await this.#deploy();
  }

  async act(action: Action): Promise<Outcome> {
    switch (action) {
      case 'deploy':
      case 'redeploy':
        return this.#deploy();
      case 'stop-start':
        await this.#insist('stop');
        return this.#judge('start', await this.#run('start', '--json', name));
      case 'remove':
        await this.#insist('rm');
        return 'done';
      case 'burn':
        await this.fetch('/cgi-bin/burn?5').catch(() => undefined);
        return 'done';
      default:
        await delay(5000);
        return 'done';
    }
  }

  /** Undefined when there is none of the name. */
  async deployment(): Promise<gateway.Deployment | undefined> {
    try {
      return await this.#instance.deployments().get({ name });
    } catch (error) {
      if (isIngotError(error, 'deployment_not_found')) return undefined;
      throw error;
    }
  }

  fetch(path = '/'): Promise<{ status: number }> {
    return within(60_000, this.#instance.fetch(name, path));
  }

  remove(): Promise<void> {
    return this.#insist('rm');
  }

  /**
   * Waits until the deployment is in a state that stays, and complains when it gets into none: READY
   * with a URL that answers, FAILED with a reason, STOPPED, or gone.
   */
  async settle(): Promise<gateway.Deployment | undefined> {
    let last: gateway.Deployment | undefined;
    let answer = 0;
    try {
      await until(
        'the deployment to settle',
        async () => {
          last = await this.deployment();
          if (last?.state === gateway.DeploymentState.READY) {
            answer = (await this.fetch()).status;
            return answer === 200;
          }
          return (
            last === undefined ||
            last.state === gateway.DeploymentState.STOPPED ||
            (last.state === gateway.DeploymentState.FAILED && Boolean(last.failure?.reason))
          );
        },
        90_000,
      );
    } catch (error) {
      const state = gateway.DeploymentState[last?.state ?? 0];
      this.#complain(`is ${state} and its URL answers ${answer}: ${String(error)}`);
    }
    return last;
  }

  async #deploy(): Promise<Outcome> {
    const args = ['deploy', '--json', '--name', name, '--image', this.#image];
    return this.#judge('deploy', await this.#run(...args));
  }

  #judge(what: string, result: CommandResult | undefined): Outcome {
    if (!result) return 'endless';
    const last = result.events.at(-1);
    if (last?.['event'] === 'ready') return 'ready';
    if (last?.['event'] === 'failed' && last['reason']) {
      // Step "request": gatewayd was not there to take it, and nothing was begun.
      return last['step'] === 'request' && last['reason'] === 'unavailable' ? 'refused' : 'failed';
    }
    this.#complain(`${what} ended with ${result.code}: ${result.stdout}${result.stderr}`);
    return 'refused';
  }

  /** Stop and rm are asked for again while gatewayd is away. */
  async #insist(verb: 'stop' | 'rm'): Promise<void> {
    try {
      await until(
        `${verb} to be done`,
        async () => (await this.#run(verb, name))?.code === 0 || !(await this.deployment()),
        90_000,
      );
    } catch (error) {
      this.#complain(String(error));
    }
  }

  async #run(...args: string[]): Promise<CommandResult | undefined> {
    try {
      return await within(endsWithinMs, this.#instance.ingot(...args));
    } catch {
      this.#complain(`ingot ${args[0]} did not end in ${endsWithinMs / 1000} s`);
      return undefined;
    }
  }
}

async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  const timer = new AbortController();
  const late = delay(ms, undefined, { signal: timer.signal }).then(() => {
    throw new Error(`not in ${ms} ms`);
  });
  late.catch(() => undefined);
  try {
    return await Promise.race([work, late]);
  } finally {
    timer.abort();
  }
}
