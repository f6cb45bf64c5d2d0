import { IngotError } from '@ingot/daemon-kit/client';
import { Command, CommanderError } from 'commander';
import { addDeploy } from './commands/deploy.ts';
import { addDoctor } from './commands/doctor.ts';
import { addDown } from './commands/down.ts';
import { addKeys } from './commands/keys.ts';
import { addLogs } from './commands/logs.ts';
import { addPs } from './commands/ps.ts';
import { addRemove } from './commands/rm.ts';
import { addStart } from './commands/start.ts';
import { addStatus } from './commands/status.ts';
import { addStop } from './commands/stop.ts';
import { addTenants } from './commands/tenants.ts';
import { addUp } from './commands/up.ts';
import { addUsage } from './commands/usage.ts';
import type { CommandContext, ExitCode, RunCommand } from './command.ts';
import type { CliContext, GlobalOptions } from './context.ts';
import { errorJson, errorText } from './output/error-text.ts';
import { jsonLine } from './output/json.ts';
import { readCliSettings } from './settings.ts';

/**
 * Runs one command line.
 *
 * @param args - without the program's name.
 * @returns 0 done, 1 failed, 2 wrong usage. Everything the user should know has been written.
 */
export async function runProgram(args: readonly string[], context: CliContext): Promise<0 | 1 | 2> {
  let exitCode: ExitCode = 0;
  const program = createProgram(context, (code) => (exitCode = code));
  try {
    await program.parseAsync([...args], { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    if (program.opts<GlobalOptions>().json) {
      context.err.write(jsonLine({ error: errorJson(error) }));
    } else {
      context.err.write(errorText(error));
    }
    const wrongUsage = error instanceof IngotError && error.reason === 'invalid_argument';
    return wrongUsage ? 2 : 1;
  }
}

function createProgram(context: CliContext, end: (code: ExitCode) => void): Command {
  const program = new Command('ingot')
    .description('Deploy container images into microVMs of their own, on hosts you own.')
    .option('--json', 'answer in JSON, for scripts')
    .option('--data-dir <dir>', "where this installation's state is (INGOT_DATA_DIR)")
    .option('--url <url>', "gatewayd's address (INGOT_URL)")
    .option('--key <key>', 'API key; better in INGOT_KEY, which `ps` does not show')
    .option('--config <file>', 'settings file (INGOT_CONFIG; ingot.yaml in the checkout)')
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: (text) => context.out.write(text),
      writeErr: (text) => context.err.write(text),
    })
    .showHelpAfterError('(--help shows the usage)')
    .exitOverride();
  const run: RunCommand =
    <Args extends unknown[]>(body: (context: CommandContext, ...args: Args) => Promise<ExitCode>) =>
    async (...given: [...Args, Command]) => {
      // commander's last argument is the command itself.
      const options = program.opts<GlobalOptions>();
      const settings = readCliSettings(context, options);
      const args = given.slice(0, -1) as Args;
      end(await body({ ...context, settings, json: options.json ?? false }, ...args));
    };
  for (const add of [
    addUp,
    addDown,
    addStatus,
    addDoctor,
    addDeploy,
    addPs,
    addLogs,
    addStop,
    addStart,
    addRemove,
    addUsage,
    addTenants,
    addKeys,
  ]) {
    add(program, run);
  }
  return program;
}
