import type { RunCommand } from '../command.ts';
import type { Command } from 'commander';
import { withGateway } from '../client/with-gateway.ts';
import { jsonLine } from '../output/json.ts';

export function addRemove(program: Command, run: RunCommand): void {
  program
    .command('rm')
    .description('remove a deployment and all it had; its usage stays billed')
    .argument('<name>', 'the deployment')
    .action(
      run(async (context, name: string) => {
        await withGateway(context, ({ deployments }) => deployments.delete({ name }));
        if (context.json) context.out.write(jsonLine({ removed: name }));
        else context.err.write(`✓ ${name} is removed\n`);
        return 0;
      }),
    );
}
