import { z } from 'zod';

/** Settings of gatewayd: section "gatewayd" of ingot.yaml, or INGOT_GATEWAYD_*. */
export const settingsSchema = z.object({
  /** Where customers' traffic, the API and the dashboard are served, as plain HTTP. */
  listen: z.string().default('127.0.0.1:8080'),
  /** Deployments answer at NAME.domain. */
  domain: z
    .string()
    .regex(/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/)
    .default('localhost'),
  /** The port in the URLs that are given out; the one listened on when left out. */
  publicPort: z.number().int().min(1).max(65535).optional(),
  builderdUrl: z.url().default('https://127.0.0.1:8082'),
  metaldUrl: z.url().default('https://127.0.0.1:8084'),
  billagedUrl: z.url().default('https://127.0.0.1:8081'),
  /** A deploy that is not ready by then has failed. */
  deployTimeoutSeconds: z.number().positive().default(600),
  /** How long an app may take to answer on its port. */
  readyTimeoutSeconds: z.number().int().min(1).max(3600).default(60),
  /** How long requests of a replaced revision may go on. */
  drainSeconds: z.number().min(0).default(10),
  /** How long an app may take to end after SIGTERM. */
  stopGraceSeconds: z.number().int().min(1).max(600).default(10),
  /** The writable disk of each VM. */
  diskMib: z.number().int().min(64).default(1024),
  /** How long an app may take to begin its answer once it has the request. */
  upstreamTimeoutSeconds: z.number().positive().default(60),
});

export type Settings = Readonly<z.infer<typeof settingsSchema>>;
