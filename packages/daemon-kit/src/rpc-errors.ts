import { create, type DescService } from '@bufbuild/protobuf';
import { type Client, Code, ConnectError, type Interceptor } from '@connectrpc/connect';
import { error as errorProto } from '@ingot/contracts';
import { connectCodeOf, IngotError, parseReason, reasonOfCode } from './errors.ts';
import type { Logger } from './logger.ts';

/** An IngotError as it crosses the wire. Anything else is a bug: INTERNAL, its message kept here. */
export function toConnectError(error: unknown, logger: Logger, method: string): ConnectError {
  if (error instanceof ConnectError) return error;
  if (!(error instanceof IngotError)) {
    logger.error({ err: error, method }, 'a call failed in a way nobody expected');
    const message = `internal error in ${method}; the daemon's log has the cause`;
    return toConnectError(new IngotError('internal', message), logger, method);
  }
  const detail = create(errorProto.ErrorDetailSchema, {
    reason: error.reason,
    remedy: error.remedy,
    log: [...error.log],
    facts: { ...error.facts },
  });
  const wire = new ConnectError(error.message, connectCodeOf(error.reason));
  wire.details.push({ desc: errorProto.ErrorDetailSchema, value: detail });
  return wire;
}

/** What came over the wire as an IngotError again, with the reason the server gave. */
export function fromConnectError(error: unknown): IngotError {
  if (error instanceof IngotError) return error;
  // Our own refusal of a server, which Connect wrapped.
  if (error instanceof Error && error.cause instanceof IngotError) return error.cause;
  const wire = ConnectError.from(error);
  const [detail] = wire.findDetails(errorProto.ErrorDetailSchema);
  // A peer that goes away resets its streams with CANCEL, which Connect tells by this message only.
  const cut = wire.code === Code.Canceled && wire.rawMessage.startsWith('http/2 stream closed');
  const reason = detail
    ? (parseReason(detail.reason) ?? 'internal')
    : cut
      ? 'unavailable'
      : reasonOfCode(wire.code);
  return new IngotError(reason, wire.rawMessage, {
    cause: error,
    ...(detail ? { remedy: detail.remedy, log: detail.log, facts: detail.facts } : {}),
  });
}

/**
 * Server side: what handlers throw becomes a ConnectError with an ErrorDetail, in answers and in
 * the middle of streams.
 */
export function serverErrorInterceptor(logger: Logger): Interceptor {
  return (next) => async (request) => {
    const method = `${request.service.typeName}/${request.method.name}`;
    try {
      const response = await next(request);
      if (!response.stream) return response;
      return { ...response, message: mapErrors(response.message, toWire) };
    } catch (error) {
      throw toWire(error);
    }
    function toWire(error: unknown): Error {
      return toConnectError(error, logger, method);
    }
  };
}

/**
 * The client with every rejection an IngotError. Connect makes ConnectErrors of whatever its
 * interceptors throw, so this wraps the client itself.
 */
export function withIngotErrors<S extends DescService>(service: S, client: Client<S>): Client<S> {
  type Call = (...args: unknown[]) => Promise<unknown> | AsyncIterable<unknown>;
  const calls = client as Record<string, Call>;
  const wrapped: Record<string, Call> = {};
  for (const { localName } of service.methods) {
    wrapped[localName] = (...args) => {
      const answer = calls[localName]!(...args);
      return Symbol.asyncIterator in answer
        ? mapErrors(answer, fromConnectError)
        : answer.catch((error: unknown) => {
            throw fromConnectError(error);
          });
    };
  }
  return wrapped as Client<S>;
}

async function* mapErrors<T>(
  messages: AsyncIterable<T>,
  map: (error: unknown) => Error,
): AsyncGenerator<T> {
  try {
    yield* messages;
  } catch (error) {
    throw map(error);
  }
}
