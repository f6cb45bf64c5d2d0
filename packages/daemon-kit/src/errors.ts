import { Code } from '@connectrpc/connect';

/**
 * Every way an Ingot operation can fail as expected, with the Connect code it crosses the wire
 * as. This is the only place where the two meet. Anything that is not an IngotError is a bug and
 * answers INTERNAL without its message.
 */
const codeOf = {
  // What the caller sent.
  invalid_argument: Code.InvalidArgument,
  config_invalid: Code.InvalidArgument,
  digest_mismatch: Code.InvalidArgument,
  batch_out_of_order: Code.FailedPrecondition,
  batch_conflict: Code.AlreadyExists,
  // Who the caller is.
  unauthenticated: Code.Unauthenticated,
  permission_denied: Code.PermissionDenied,
  rate_limited: Code.ResourceExhausted,
  // What is not there, or is there already.
  not_found: Code.NotFound,
  deployment_not_found: Code.NotFound,
  tenant_not_found: Code.NotFound,
  key_not_found: Code.NotFound,
  build_not_found: Code.NotFound,
  asset_missing: Code.NotFound,
  vm_not_found: Code.NotFound,
  already_exists: Code.AlreadyExists,
  name_taken: Code.AlreadyExists,
  // What is not possible now.
  illegal_state: Code.FailedPrecondition,
  asset_in_use: Code.FailedPrecondition,
  host_full: Code.ResourceExhausted,
  disk_full: Code.ResourceExhausted,
  port_taken: Code.FailedPrecondition,
  not_root: Code.FailedPrecondition,
  missing_program: Code.FailedPrecondition,
  // Images and registries.
  image_not_found: Code.NotFound,
  image_malformed: Code.InvalidArgument,
  image_wrong_platform: Code.FailedPrecondition,
  image_too_large: Code.FailedPrecondition,
  image_no_command: Code.FailedPrecondition,
  layer_escapes_root: Code.InvalidArgument,
  registry_unreachable: Code.Unavailable,
  registry_denied: Code.PermissionDenied,
  build_failed: Code.Aborted,
  // MicroVMs.
  app_exited: Code.Aborted,
  not_ready: Code.Aborted,
  boot_failed: Code.Aborted,
  vmm_crashed: Code.Aborted,
  host_lost: Code.Aborted,
  // The system itself.
  billing_unavailable: Code.Unavailable,
  unavailable: Code.Unavailable,
  deadline_exceeded: Code.DeadlineExceeded,
  cancelled: Code.Canceled,
  command_failed: Code.Internal,
  not_supported: Code.Unimplemented,
  data_loss: Code.DataLoss,
  internal: Code.Internal,
} as const satisfies Record<string, Code>;

export type ErrorReason = keyof typeof codeOf;

export interface ErrorContext {
  /** What the reader can do about it, one sentence. */
  remedy?: string;
  /** Last lines of a log that explains it, oldest first. */
  log?: readonly string[];
  /** What it is about, such as { vmId }. Never a secret. */
  facts?: Readonly<Record<string, string>>;
  /** Kept for this process's log; never crosses the wire. */
  cause?: unknown;
}

/** A failure that was to be expected, with a message fit for the user who meets it. */
export class IngotError extends Error {
  override readonly name = 'IngotError';
  readonly reason: ErrorReason;
  readonly remedy: string;
  readonly log: readonly string[];
  readonly facts: Readonly<Record<string, string>>;

  constructor(reason: ErrorReason, message: string, context: ErrorContext = {}) {
    super(message, context.cause === undefined ? undefined : { cause: context.cause });
    this.reason = reason;
    this.remedy = context.remedy ?? '';
    this.log = context.log ?? [];
    this.facts = context.facts ?? {};
  }
}

/** Whether `error` is an IngotError and, when reasons are given, has one of them. */
export function isIngotError(error: unknown, ...reasons: ErrorReason[]): error is IngotError {
  return error instanceof IngotError && (reasons.length === 0 || reasons.includes(error.reason));
}

/** The Connect code a reason crosses the wire as. */
export function connectCodeOf(reason: ErrorReason): Code {
  return codeOf[reason];
}

/** The reason as it came over the wire, when it is one of ours. */
export function parseReason(text: string): ErrorReason | undefined {
  return Object.hasOwn(codeOf, text) ? (text as ErrorReason) : undefined;
}

const reasonsOfCodes: Partial<Record<Code, ErrorReason>> = {
  [Code.InvalidArgument]: 'invalid_argument',
  [Code.OutOfRange]: 'invalid_argument',
  [Code.NotFound]: 'not_found',
  [Code.AlreadyExists]: 'already_exists',
  [Code.PermissionDenied]: 'permission_denied',
  [Code.Unauthenticated]: 'unauthenticated',
  [Code.FailedPrecondition]: 'illegal_state',
  [Code.ResourceExhausted]: 'rate_limited',
  [Code.DeadlineExceeded]: 'deadline_exceeded',
  [Code.Canceled]: 'cancelled',
  [Code.Unimplemented]: 'not_supported',
  [Code.DataLoss]: 'data_loss',
};

/**
 * The general reason for a code that came without our detail. Our servers always send a detail, so
 * the codes not listed come from a connection that broke.
 */
export function reasonOfCode(code: Code): ErrorReason {
  return reasonsOfCodes[code] ?? 'unavailable';
}

/** True for failures that the same call may not meet again: worth a retry. */
export function isTransient(error: unknown): boolean {
  return isIngotError(error, 'unavailable', 'deadline_exceeded', 'billing_unavailable');
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The system error code of a Node error, such as "ENOENT". */
export function errnoOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string'
    ? error.code
    : undefined;
}
