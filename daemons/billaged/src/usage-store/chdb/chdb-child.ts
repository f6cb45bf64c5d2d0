// The process that runs the ClickHouse engine for billaged: started by chdb-process.ts with the data
// directory as its only argument, spoken to over IPC, gone when its parent is gone. A process of its
// own because the engine aborts the process it lives in when it is closed at the wrong moment, and
// takes about 400 MB.
import { Session } from 'chdb';
import type { ChdbReply, ChdbRequest } from './chdb-protocol.ts';

/** The engine's settings, as `clickhouse local` takes them. */
const engineArguments = [
  // An insert answers when its part is on disk, not when it is queued.
  '--async_insert=0',
  // A batch is parsed into one block, which becomes one part: all of it is there or none.
  '--input_format_parallel_parsing=0',
  '--output_format_json_quote_64bit_integers=1',
];

const directory = process.argv[2] ?? '';
let queue: Promise<void> = Promise.resolve();

// Ctrl-C reaches the whole process group; the parent says when to close.
process.on('SIGINT', () => undefined);
process.on('SIGTERM', () => undefined);
// Without a parent nobody would ever end this process, and it holds the lock on the data directory.
// What was acknowledged is on disk, so the quickest end is also a safe one.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));

function reply(message: ChdbReply): void {
  if (process.connected) process.send?.(message);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

async function answer(session: Session, request: ChdbRequest): Promise<void> {
  if (request.kind === 'close') {
    session.close();
    process.exit(0);
  }
  try {
    if (request.kind === 'query') {
      const options = { format: 'JSONEachRow' };
      const result = await session.queryBindAsync(request.sql, request.parameters, options);
      reply({ kind: 'done', id: request.id, text: result.text() });
    } else {
      await session.insert({
        table: request.table,
        columns: request.columns,
        values: Buffer.from(request.rows),
        format: 'JSONCompactEachRow',
      });
      reply({ kind: 'done', id: request.id, text: '' });
    }
  } catch (error) {
    reply({ kind: 'failed', id: request.id, message: messageOf(error) });
  }
}

function open(): Session | undefined {
  try {
    return new Session(directory, { connectionArgs: engineArguments });
  } catch (error) {
    reply({ kind: 'refused', message: messageOf(error) });
    process.disconnect();
    return undefined;
  }
}

const session = open();
if (session) {
  // One at a time: nothing is in flight when the session closes.
  process.on('message', (request: ChdbRequest) => {
    queue = queue.then(() => answer(session, request));
  });
  reply({ kind: 'opened' });
}
