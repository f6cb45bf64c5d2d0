/** Values of `{name:Type}` placeholders: bound by the engine, never part of the SQL. */
export type SqlParameters = Readonly<Record<string, string | number | bigint>>;

/** What billaged asks of the process that runs the engine. */
export type ChdbRequest =
  | { id: number; kind: 'query'; sql: string; parameters: SqlParameters }
  /** `rows`: one JSON array per line, values in the order of `columns`. */
  | { id: number; kind: 'insert'; table: string; columns: readonly string[]; rows: string }
  /** Ends the process after all that was asked before. Not answered. */
  | { kind: 'close' };

/** What it answers. */
export type ChdbReply =
  | { kind: 'opened' }
  | { kind: 'refused'; message: string }
  /** `text`: one JSON object per line; 64-bit and larger integers are strings. */
  | { kind: 'done'; id: number; text: string }
  | { kind: 'failed'; id: number; message: string };
