import { IngotError } from './errors.ts';

/** Splits "host:port". @throws IngotError config_invalid */
export function parseListen(listen: string): { host: string; port: number } {
  const match = /^(.+):(\d{1,5})$/.exec(listen);
  const port = Number(match?.[2]);
  if (!match?.[1] || port > 65535) {
    throw new IngotError('config_invalid', `"${listen}" is not host:port`);
  }
  return { host: match[1], port };
}
