import { timestampMs } from '@bufbuild/protobuf/wkt';
import { gateway } from '@ingot/contracts';
import type { Command } from 'commander';
import { everyPage } from '../client/every-page.ts';
import { withGateway } from '../client/with-gateway.ts';
import type { CommandContext, ExitCode, RunCommand } from '../command.ts';
import { formatDuration } from '../output/duration.ts';
import { jsonLine, messageJson } from '../output/json.ts';
import { formatTable } from '../output/table.ts';

export function addPs(program: Command, run: RunCommand): void {
  program
    .command('ps')
    .description('list your deployments')
    .action(run((context) => ps(context)));
}

async function ps(context: CommandContext): Promise<ExitCode> {
  const deployments = await withGateway(context, (client) =>
    everyPage(
      (page) => client.deployments.list(page),
      (answer) => answer.deployments,
    ),
  );
  if (context.json) {
    const list = deployments.map((one) => messageJson(gateway.DeploymentSchema, one));
    context.out.write(jsonLine({ deployments: list }));
    return 0;
  }
  if (deployments.length === 0) {
    context.err.write('No deployments yet: ingot deploy --name NAME --image REFERENCE\n');
    return 0;
  }
  const now = context.clock.now();
  const table = formatTable(
    [
      { heading: 'NAME' },
      { heading: 'STATE' },
      { heading: 'REVISION', align: 'right' },
      { heading: 'IMAGE' },
      { heading: 'URL' },
      { heading: 'CHANGED' },
    ],
    deployments.map((one) => [
      one.spec?.name ?? '',
      stateText(one),
      String(one.revision),
      one.spec?.image ?? '',
      one.url,
      one.updatedAt ? `${formatDuration(now - timestampMs(one.updatedAt))} ago` : '',
    ]),
  );
  context.out.write(table);
  return 0;
}

/** The state in a word, with why for a failed one. */
export function stateText({ state, failure, billingDegraded }: gateway.Deployment): string {
  const word = gateway.DeploymentState[state].toLowerCase();
  const why = failure ? ` (${failure.step}: ${failure.reason})` : '';
  return `${word}${why}${billingDegraded ? ', billing delayed' : ''}`;
}
