import { pino, type DestinationStream, type Logger } from 'pino';

export type { Logger } from 'pino';
export const logLevels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;

/** Keys whose values never reach a log, at the top of a line or one level down. */
const secretKeys = ['secret', 'token', 'password', 'authorization', 'env', 'key'];

/**
 * A JSON-lines logger on standard output.
 *
 * @param options.name - the daemon, in every line.
 * @param options.destination - instead of standard output, for tests.
 */
export function createLogger(options: {
  name: string;
  level?: (typeof logLevels)[number];
  destination?: DestinationStream;
}): Logger {
  const settings = {
    name: options.name,
    level: options.level ?? 'info',
    redact: {
      paths: secretKeys.flatMap((key) => [key, `*.${key}`]),
      censor: '[redacted]',
    },
  };
  return options.destination ? pino(settings, options.destination) : pino(settings);
}
