import { IngotError, messageOf } from '@ingot/daemon-kit/client';

/** An error for people: what and why, the end of the log that shows it, what to do next. */
export function errorText(error: unknown): string {
  if (!(error instanceof IngotError)) {
    const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return `ingot: this is a bug in the command: ${stack}\n`;
  }
  return [
    `ingot: ${error.message}`,
    ...error.log.map((line) => `  | ${line}`),
    ...(error.remedy ? [`  → ${error.remedy}`] : []),
  ]
    .map((line) => `${line}\n`)
    .join('');
}

/** The same for scripts that read --json. */
export function errorJson(error: unknown): Record<string, unknown> {
  if (!(error instanceof IngotError)) return { reason: 'internal', message: messageOf(error) };
  const { reason, message, remedy, log } = error;
  return { reason, message, remedy, log };
}
