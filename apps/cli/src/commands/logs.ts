import { type Command, InvalidArgumentError } from 'commander';
import { withGateway } from '../client/with-gateway.ts';
import type { CommandContext, ExitCode, RunCommand } from '../command.ts';
import { jsonLine } from '../output/json.ts';

interface LogsOptions {
  follow?: boolean;
  tail: number;
}

export function addLogs(program: Command, run: RunCommand): void {
  program
    .command('logs')
    .description("show what a deployment's app wrote")
    .argument('<name>', 'the deployment')
    .option('-f, --follow', 'stay, and show what it writes from now on')
    .option(
      '--tail <lines>',
      'only this many last lines (default: all that is kept)',
      parseLines,
      0,
    )
    .action(run((context, name: string, options: LogsOptions) => logs(context, name, options)));
}

async function logs(
  context: CommandContext,
  name: string,
  options: LogsOptions,
): Promise<ExitCode> {
  const decoder = new TextDecoder();
  let partial = '';
  const show = (text: string): void => {
    if (!context.json) return context.out.write(text);
    const lines = (partial + text).split('\n');
    partial = lines.pop() ?? '';
    for (const line of lines) context.out.write(jsonLine({ line: line.replace(/\r$/, '') }));
  };
  await withGateway(context, async ({ deployments }) => {
    const request = { name, follow: options.follow ?? false, tailLines: options.tail };
    try {
      const chunks = deployments.streamLogs(request, { signal: context.interrupted });
      for await (const { data } of chunks) show(decoder.decode(data, { stream: true }));
    } catch (error) {
      // Ctrl-C is how following ends.
      if (!context.interrupted.aborted) throw error;
    }
  });
  if (partial !== '') show('\n');
  return 0;
}

function parseLines(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('It must be a whole number.');
  return Number(text);
}
