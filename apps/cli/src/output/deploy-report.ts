import { gateway } from '@ingot/contracts';
import type { CommandContext } from '../command.ts';
import { formatDuration } from './duration.ts';
import { jsonLine, messageJson } from './json.ts';
import { LiveBlock } from './live-block.ts';

/** How the progress of a deploy is shown. Ends with one of ready, failed or close. */
export interface DeployReport {
  step(name: string): void;
  detail(text: string): void;
  warning(text: string): void;
  ready(deployment: gateway.Deployment): void;
  failed(deployment: gateway.Deployment): void;
  /** The stream ended without an end of the deploy: leave the terminal in order. */
  close(): void;
}

/** JSON lines with --json, a live block on a terminal, plain lines elsewhere. */
export function createDeployReport(context: CommandContext): DeployReport {
  if (context.json) return new JsonReport(context);
  return context.err.isTerminal ? new TerminalReport(context) : new PlainReport(context);
}

const titles: Readonly<Record<string, string>> = {
  build: 'build the root file system',
  create: 'create the microVM',
  boot: 'boot it',
  health: 'wait for the app to answer',
};
const titleOf = (step: string): string => titles[step] ?? step;

/** The failure for people: what, the end of the log, what next. */
export function failureText({ spec, failure }: gateway.Deployment): string {
  const lines = [
    `✗ ${spec?.name ?? 'the deployment'} failed at ${failure?.step ?? 'an unknown step'}: ${failure?.message ?? 'no reason was given'}`,
    ...(failure?.log ?? []).map((line) => `  | ${line}`),
    ...(failure?.remedy ? [`  → ${failure.remedy}`] : []),
  ];
  return lines.map((line) => `${line}\n`).join('');
}

class PlainReport implements DeployReport {
  readonly #context: CommandContext;
  readonly #startedAt: number;

  constructor(context: CommandContext) {
    this.#context = context;
    this.#startedAt = context.clock.monotonicMs();
  }

  step(name: string): void {
    this.#line(`${titleOf(name)} …`);
  }

  detail(text: string): void {
    this.#line(`  ${text}`);
  }

  warning(text: string): void {
    this.#line(`  ! ${text}`);
  }

  ready({ spec, url }: gateway.Deployment): void {
    const took = this.#context.clock.monotonicMs() - this.#startedAt;
    this.#line(`✓ ${spec?.name ?? ''} answers after ${formatDuration(took)}`);
    this.#context.out.write(`${url}\n`);
  }

  failed(deployment: gateway.Deployment): void {
    this.#context.err.write(failureText(deployment));
  }

  close(): void {}

  #line(text: string): void {
    this.#context.err.write(`${text}\n`);
  }
}

class TerminalReport implements DeployReport {
  readonly #context: CommandContext;
  readonly #block: LiveBlock;
  readonly #startedAt: number;

  constructor(context: CommandContext) {
    this.#context = context;
    this.#block = new LiveBlock(context.err, context.clock);
    this.#startedAt = context.clock.monotonicMs();
  }

  step(name: string): void {
    this.#block.finish('✓');
    this.#block.begin(titleOf(name));
  }

  detail(text: string): void {
    this.#block.detail(text);
  }

  warning(text: string): void {
    this.#block.above(`! ${text}`);
  }

  ready({ spec, url }: gateway.Deployment): void {
    this.#block.finish('✓');
    const took = formatDuration(this.#context.clock.monotonicMs() - this.#startedAt);
    this.#context.err.write(`✓ ${spec?.name ?? ''} answers after ${took}\n`);
    this.#context.out.write(`${url}\n`);
  }

  failed(deployment: gateway.Deployment): void {
    this.#block.finish('✗');
    this.#context.err.write(failureText(deployment));
  }

  close(): void {
    this.#block.finish('…');
  }
}

/** One JSON object a line; the last is "ready" or "failed". */
class JsonReport implements DeployReport {
  readonly #context: CommandContext;

  constructor(context: CommandContext) {
    this.#context = context;
  }

  step(name: string): void {
    this.#event('step', { step: name });
  }

  detail(text: string): void {
    this.#event('detail', { text });
  }

  warning(text: string): void {
    this.#event('warning', { text });
  }

  ready(deployment: gateway.Deployment): void {
    const json = messageJson(gateway.DeploymentSchema, deployment);
    this.#event('ready', { deployment: json, url: deployment.url });
  }

  failed(deployment: gateway.Deployment): void {
    const { failure } = deployment;
    this.#event('failed', {
      step: failure?.step ?? '',
      reason: failure?.reason ?? '',
      message: failure?.message ?? '',
      remedy: failure?.remedy ?? '',
      ...(failure?.exitCode === undefined ? {} : { exitCode: failure.exitCode }),
      log: failure?.log ?? [],
      deployment: messageJson(gateway.DeploymentSchema, deployment),
    });
  }

  close(): void {}

  #event(event: string, fields: Record<string, unknown>): void {
    this.#context.out.write(jsonLine({ event, ...fields }));
  }
}
