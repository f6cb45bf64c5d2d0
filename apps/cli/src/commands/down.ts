import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import type { CommandContext, ExitCode, RunCommand } from '../command.ts';
import { hostChecks, requireAll } from '../system/checks.ts';
import { endLeftovers, removeVms } from '../system/instance.ts';
import { endProcess } from '../system/process-ref.ts';
import { aliveProcess, RunState } from '../system/run-state.ts';

/** Above the time an instance needs to stop its daemons and remove its VMs. */
const stopGraceMs = 180_000;

export function addDown(program: Command, run: RunCommand): void {
  program
    .command('down')
    .description('end the daemons and every microVM; deployments come back at the next up')
    .action(run((context) => down(context)));
}

async function down(context: CommandContext): Promise<ExitCode> {
  requireAll(hostChecks(context).filter(({ name }) => name === 'root'));
  const { dataDir } = context.settings;
  const report = (line: string): void => context.err.write(`${line}\n`);
  const runState = new RunState(dataDir);
  const running = aliveProcess(runState.up());
  if (running) {
    report(`stopping Ingot on ${dataDir} (process ${running.pid}) …`);
    await endProcess(running, context.clock, stopGraceMs);
  }
  // An `up` that was killed could not clean up behind itself; after a clean stop this finds nothing.
  const left = await endLeftovers(context, runState, report);
  const clean = existsSync(join(dataDir, 'metald')) ? await removeVms(context, report) : true;
  runState.unlock();
  if (!running && left === 0) report(`Ingot was not running on ${dataDir}`);
  else if (clean) report('✓ everything is stopped');
  return clean ? 0 : 1;
}
