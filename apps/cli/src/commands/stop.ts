import type { RunCommand } from '../command.ts';
import { gateway } from '@ingot/contracts';
import type { Command } from 'commander';
import { withGateway } from '../client/with-gateway.ts';
import { jsonLine, messageJson } from '../output/json.ts';

export function addStop(program: Command, run: RunCommand): void {
  program
    .command('stop')
    .description("end a deployment's microVM and keep the deployment")
    .argument('<name>', 'the deployment')
    .action(
      run(async (context, name: string) => {
        const stopped = await withGateway(context, ({ deployments }) => deployments.stop({ name }));
        if (context.json) {
          context.out.write(jsonLine(messageJson(gateway.DeploymentSchema, stopped)));
        } else {
          context.err.write(`✓ ${name} is stopped; ingot start ${name} brings it back\n`);
        }
        return 0;
      }),
    );
}
