/** Where a build keeps files while it runs, and hands its result over. */
export interface BuildWorkspace {
  /** Removes all that builds left behind, and what the given ones had handed over. */
  reset(buildIds: readonly string[]): Promise<void>;
  /** An empty directory of the build's own; what an earlier attempt left there is gone. */
  open(buildId: string): Promise<string>;
  /**
   * Moves a finished file into the inbox shared with assetmanagerd, whole or not at all.
   *
   * @returns its name there.
   */
  handOver(buildId: string, path: string): Promise<string>;
  /** Removes the build's directory and whatever it has in the inbox. */
  remove(buildId: string): Promise<void>;
}
