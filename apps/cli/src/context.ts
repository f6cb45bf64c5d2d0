import type { Clock, Random } from '@ingot/daemon-kit/client';

/** Where a command writes. */
export interface Output {
  write(text: string): void;
  readonly isTerminal: boolean;
  /** Characters a line of a terminal holds. */
  readonly columns: number;
}

/** The outside world as the commands see it; main.ts makes the real one. */
export interface CliContext {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The checkout Ingot runs from. Absolute. */
  readonly repoDir: string;
  /** What relative paths on the command line start from. */
  readonly cwd: string;
  readonly pid: number;
  readonly isRoot: boolean;
  /** The Node binary that runs this, which runs the daemons too. */
  readonly nodePath: string;
  readonly out: Output;
  readonly err: Output;
  readonly clock: Clock;
  readonly random: Random;
  newId(): string;
  /** Aborts at the first Ctrl-C or SIGTERM. */
  readonly interrupted: AbortSignal;
}

/** Options every command takes, before or after its name. */
export interface GlobalOptions {
  json?: boolean;
  dataDir?: string;
  url?: string;
  key?: string;
  config?: string;
}
