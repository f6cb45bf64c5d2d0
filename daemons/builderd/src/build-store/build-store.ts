import type { Build, BuildLogLine } from '../domain/build.ts';

export type BuildPatch = Partial<
  Pick<
    Build,
    | 'state'
    | 'step'
    | 'attempts'
    | 'resolvedImage'
    | 'config'
    | 'rootfsAssetId'
    | 'failure'
    | 'cached'
    | 'finishedAtMs'
  >
>;

/** What builderd remembers. Every write is durable when its promise resolves. */
export interface BuildStore {
  /** Adds a queued build, or answers with the one that has the same tenant and key. */
  add(build: {
    readonly id: string;
    readonly tenantId: string;
    readonly image: string;
    readonly idempotencyKey: string;
    readonly createdAtMs: number;
  }): Promise<Build>;
  find(id: string): Promise<Build | undefined>;
  /** Newest first, those with a sequence below `before`. */
  list(query: {
    readonly tenantId: string | undefined;
    readonly before: number | undefined;
    readonly limit: number;
  }): Promise<readonly Build[]>;
  /** Queued or running, oldest first. */
  unfinished(): Promise<readonly Build[]>;
  /** The latest success of this tenant, image digest and format that was not itself a reuse. */
  findReusable(query: {
    readonly tenantId: string;
    readonly resolvedImage: string;
    readonly formatVersion: number;
  }): Promise<Build | undefined>;
  update(id: string, patch: BuildPatch): Promise<void>;
  /** Appends a line; beyond the bound of a build's log it is dropped. */
  appendLog(id: string, line: Omit<BuildLogLine, 'number'>): Promise<void>;
  /** Lines after the given number, in order. */
  readLog(id: string, after: number, limit: number): Promise<readonly BuildLogLine[]>;
  close(): Promise<void>;
}
