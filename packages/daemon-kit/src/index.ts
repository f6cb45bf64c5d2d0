// The entry of @ingot/daemon-kit. README.md says what each is for.
export { type Clock, type Random, systemClock, systemRandom } from './clock.ts';
export { type CommandOptions, type CommandResult, runCommand } from './command.ts';
export {
  type ErrorContext,
  type ErrorReason,
  errnoOf,
  IngotError,
  isIngotError,
  isTransient,
  messageOf,
} from './errors.ts';
export { KeyedMutex } from './keyed-mutex.ts';
export { parseListen } from './listen.ts';
export { createLogger, type Logger } from './logger.ts';
export { type Loop, startLoop } from './loop.ts';
export { type MainContext, runMain } from './run-main.ts';
export { Counter, createMetrics, Gauge, Histogram, type Registry } from './metrics.ts';
export { decodePageToken, encodePageToken } from './page-token.ts';
export { ensurePki } from './pki.ts';
export { type Identity, loadIdentity } from './identity.ts';
export { backoffMs, retry, type RetryOptions } from './retry.ts';
export { createPlainRpcClient, createRpcClient } from './rpc-client.ts';
export { fromConnectError } from './rpc-errors.ts';
export {
  callerOf,
  type Readiness,
  type RpcServer,
  type RpcServerOptions,
  startRpcServer,
} from './rpc-server.ts';
export { readSettings, type SettingsSource } from './settings.ts';
export { type Migrations, openSqlite } from './sqlite.ts';
