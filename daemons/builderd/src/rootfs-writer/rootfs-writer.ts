export interface Rootfs {
  /** A squashfs, owned by this process, read-only. */
  readonly path: string;
  /** Lower-case hex. */
  readonly sha256: string;
  readonly sizeBytes: number;
}

/** Turns one tar archive into one read-only root file system. */
export interface RootfsWriter {
  /**
   * Writes the archive's files as a squashfs into `dir`, which must exist and be empty. The same
   * archive gives the same bytes.
   *
   * @throws IngotError build_failed, disk_full, deadline_exceeded, missing_program, or what the
   *   archive throws.
   */
  write(tar: AsyncIterable<Uint8Array>, dir: string, signal: AbortSignal): Promise<Rootfs>;
}
