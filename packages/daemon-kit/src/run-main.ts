import { join, resolve } from 'node:path';
import type { z } from 'zod';
import { type Clock, type Random, systemClock, systemRandom } from './clock.ts';
import { IngotError, messageOf } from './errors.ts';
import { createLogger, type Logger, logLevels } from './logger.ts';
import { readSettings } from './settings.ts';

/** What the outside world hands to a daemon. */
export interface MainContext {
  /** Absolute. */
  dataDir: string;
  /** Arguments after the script's name. */
  args: readonly string[];
  logger: Logger;
  clock: Clock;
  random: Random;
  /** The daemon's own settings. */
  settings<S extends z.ZodObject>(schema: S): Readonly<z.infer<S>>;
}

/** Longer than this after a signal, and the process ends whatever is still open. */
const stopTimeoutMs = 10_000;

/**
 * Runs a daemon: reads its surroundings, starts it, stops it once on SIGTERM or SIGINT, and ends
 * the process with 1 and the reason when it cannot start or a bug escapes. For main.ts only.
 */
export async function runMain(
  name: string,
  start: (context: MainContext) => Promise<{ stop(): Promise<void> } | undefined>,
): Promise<void> {
  // What a daemon keeps is for its own user: environments of apps, keys, logs.
  process.umask(0o077);
  const { env } = process;
  const level = logLevels.find((known) => known === env['INGOT_LOG_LEVEL']);
  const logger = createLogger({ name, ...(level ? { level } : {}) });
  const fail = (error: unknown, message: string): never => {
    if (error instanceof IngotError) {
      logger.fatal({ reason: error.reason, remedy: error.remedy }, error.message);
    } else {
      logger.fatal({ err: error }, `${message}: ${messageOf(error)}`);
    }
    process.exit(1);
  };
  process.on('uncaughtException', (error) => fail(error, 'a bug escaped'));
  process.on('unhandledRejection', (error) => fail(error, 'a bug escaped'));

  const context: MainContext = {
    dataDir: resolve(env['INGOT_DATA_DIR'] ?? '.ingot'),
    args: process.argv.slice(2),
    logger,
    clock: systemClock,
    random: systemRandom,
    settings: (schema) =>
      readSettings(schema, {
        env,
        file: env['INGOT_CONFIG'] ?? join(process.cwd(), 'ingot.yaml'),
        section: name,
      }),
  };
  const daemon = await start(context).catch((error: unknown) => fail(error, 'cannot start'));
  if (!daemon) return;

  let stopping = false;
  const stop = (signal: string): void => {
    if (stopping) return;
    stopping = true;
    logger.info({ signal }, 'stopping');
    setTimeout(() => fail(new Error('took too long'), 'cannot stop'), stopTimeoutMs).unref();
    daemon.stop().then(
      () => process.exit(0),
      (error: unknown) => fail(error, 'cannot stop'),
    );
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
}
