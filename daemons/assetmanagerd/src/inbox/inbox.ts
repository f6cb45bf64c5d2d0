/** A file that waits to be registered. */
export interface InboxFile {
  readonly bytes: AsyncIterable<Uint8Array>;
  close(): Promise<void>;
}

/** The directory where callers on this host leave files for RegisterAsset. */
export interface Inbox {
  /**
   * Opens a regular file directly inside the inbox.
   *
   * @throws IngotError not_found when it is not there; invalid_argument when it is a link, a
   *   directory or anything else that is not a regular file.
   */
  open(name: string): Promise<InboxFile>;
  /** Removes the file; not there is fine. */
  remove(name: string): Promise<void>;
  /** Files last changed before the instant: whoever left them has forgotten them. */
  list(changedBeforeMs: number): Promise<{ name: string; sizeBytes: number }[]>;
}
