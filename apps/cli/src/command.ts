import type { Command } from 'commander';
import type { CliContext } from './context.ts';
import type { Settings } from './settings.ts';

/** A command's surroundings once its settings are known. */
export interface CommandContext extends CliContext {
  readonly settings: Settings;
  /** True with --json. */
  readonly json: boolean;
}

/** What a command ends the process with: done, or failed with everything already told. */
export type ExitCode = 0 | 1;

/**
 * Makes commander's action of a command: works out the settings, runs it, keeps its exit code.
 * `Args` are the command's arguments and last its options, as commander hands them over.
 */
export type RunCommand = <Args extends unknown[]>(
  body: (context: CommandContext, ...args: Args) => Promise<ExitCode>,
) => (...args: [...Args, Command]) => Promise<void>;
