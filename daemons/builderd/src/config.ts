import { z } from 'zod';

const gib = 1024 ** 3;
const bytes = z.int().positive();
const milliseconds = z.int().positive();

/** Settings of builderd: section `builderd` of ingot.yaml, or INGOT_BUILDERD_*. */
export const settingsSchema = z.object({
  listen: z.string().default('127.0.0.1:8082'),
  assetmanagerdUrl: z.url().default('https://127.0.0.1:8083'),
  /** Shared with assetmanagerd; `assetmanagerd/inbox` in the data directory unless set. */
  inboxDir: z.string().optional(),
  /** Builds at a time. */
  concurrentBuilds: z.int().min(1).max(64).default(2),
  buildTimeoutMs: milliseconds.default(30 * 60_000),
  /** How long assetmanagerd may be away before a build fails. */
  assetWaitMs: milliseconds.default(60_000),
  /** Accounts by registry host, as written in image references. */
  registries: z
    .record(z.string(), z.strictObject({ username: z.string(), password: z.string() }))
    .default({}),
  registryConnectMs: milliseconds.default(5_000),
  /** Longest silence of a registry within an answer. */
  registryIdleMs: milliseconds.default(30_000),
  registryAttempts: z.int().min(1).max(20).default(4),
  maxLayers: z.int().positive().default(128),
  maxLayerBytes: bytes.default(2 * gib),
  maxImageBytes: bytes.default(4 * gib),
  maxUnpackedBytes: bytes.default(8 * gib),
  maxEntries: z.int().positive().default(500_000),
  /** Layers kept for the next image that has them. */
  layerCacheBytes: bytes.default(5 * gib),
  /** Who the squashfs writer runs as when builderd is root. */
  sandboxUid: z.int().min(1).max(65_534).default(65_534),
});

export type BuilderdSettings = Readonly<z.infer<typeof settingsSchema>>;
