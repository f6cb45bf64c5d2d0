import type { RunCommand } from '../command.ts';
import type { Command } from 'commander';
import { createGatewayClient } from '../client/gateway-client.ts';
import { showDeploy } from './deploy.ts';

export function addStart(program: Command, run: RunCommand): void {
  program
    .command('start')
    .description('start a stopped or failed deployment again and show its progress')
    .argument('<name>', 'the deployment')
    .action(
      run((context, name: string) => {
        const { deployments } = createGatewayClient(context.settings);
        return showDeploy(context, name, (signal) => deployments.start({ name }, { signal }));
      }),
    );
}
