// What a short-lived client needs and nothing a daemon does: loading the whole kit takes longer than
// most commands run. README.md says what each is for.
export { type Clock, type Random, systemClock, systemRandom } from './clock.ts';
export { runCommand } from './command.ts';
export {
  type ErrorReason,
  errnoOf,
  IngotError,
  isIngotError,
  isTransient,
  messageOf,
} from './errors.ts';
export { parseListen } from './listen.ts';
export { backoffMs, retry } from './retry.ts';
export { createPlainRpcClient } from './rpc-client.ts';
