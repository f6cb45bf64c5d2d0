import { readFileSync } from 'node:fs';
import { billing, builder, gateway, metal } from '@ingot/contracts';
import {
  createLogger,
  createMetrics,
  createPlainRpcClient,
  ensurePki,
  loadIdentity,
  type RpcServer,
  startRpcServer,
  systemClock,
} from '@ingot/daemon-kit';
import { tempDir } from '@ingot/testkit';
import type { DescService } from '@bufbuild/protobuf';
import type { Client, ServiceImpl } from '@connectrpc/connect';
import { settingsSchema } from '../config.ts';
import { type Gatewayd, startGatewayd } from '../gatewayd.ts';
import { FakeBuilder } from './fake-builder.ts';
import { FakeHost } from './fake-host.ts';

const logger = createLogger({
  name: 'test',
  level: process.env.INGOT_TEST_LOG ? 'debug' : 'silent',
});

/** A gateway with peers that speak the real contracts over mutual TLS, in a directory of its own. */
export class Installation {
  readonly host = new FakeHost();
  readonly builder = new FakeBuilder();
  queryUsage: ServiceImpl<typeof billing.UsageService>['queryUsage'] = () => ({});
  readonly dataDir: string;
  gatewayd!: Gatewayd;
  /** Resolves at the end: for a peer that never answers. */
  readonly over = Promise.withResolvers<void>();
  readonly #peers = new Map<string, RpcServer>();
  readonly #settings: Record<string, unknown>;
  readonly #remove: () => Promise<void>;

  constructor(dir: { path: string; remove(): Promise<void> }, settings: Record<string, unknown>) {
    this.dataDir = dir.path;
    this.#remove = () => dir.remove();
    this.#settings = settings;
  }

  static async start(settings: Record<string, unknown> = {}): Promise<Installation> {
    const installation = new Installation(await tempDir(), settings);
    const names = ['gatewayd', 'builderd', 'metald', 'billaged'];
    await ensurePki(`${installation.dataDir}/pki`, names);
    for (const name of names.slice(1)) await installation.startPeer(name);
    await installation.startGatewayd();
    return installation;
  }

  /** Starts one of the peers, where it was before. */
  async startPeer(name: string): Promise<void> {
    const service = { builderd: builder.BuilderService, metald: metal.VmService }[name];
    const before = this.#peers.get(name);
    const server = await startRpcServer({
      listen: `127.0.0.1:${before?.port ?? 0}`,
      identity: await loadIdentity(`${this.dataDir}/pki`, name),
      allow: { [(service ?? billing.UsageService).typeName]: ['gatewayd'] },
      readiness: () => ({ ready: true, reasons: [] }),
      metrics: createMetrics(name),
      logger,
      routes: (router) => {
        if (name === 'builderd') router.service(builder.BuilderService, this.builder.service);
        else if (name === 'metald') router.service(metal.VmService, this.host.service);
        else {
          router.service(billing.UsageService, {
            queryUsage: (request, context) => this.queryUsage(request, context),
          });
        }
      },
    });
    this.#peers.set(name, server);
  }

  async stopPeer(name: string): Promise<void> {
    await this.#peers.get(name)?.close(0);
  }

  async startGatewayd(more: Record<string, unknown> = {}): Promise<void> {
    const url = (name: string) => this.#peers.get(name)?.url;
    const settings = settingsSchema.parse({
      listen: '127.0.0.1:0',
      builderdUrl: url('builderd'),
      metaldUrl: url('metald'),
      billagedUrl: url('billaged'),
      stopGraceSeconds: 1,
      ...this.#settings,
      ...more,
    });
    this.gatewayd = await startGatewayd(settings, {
      dataDir: this.dataDir,
      logger,
      clock: systemClock,
      random: () => 0.1,
    });
  }

  get adminKey(): string {
    return readFileSync(this.gatewayd.keyFile, 'utf8').trim();
  }

  client<S extends DescService>(service: S, key = this.adminKey): Client<S> {
    const headers = { authorization: `Bearer ${key}` };
    return createPlainRpcClient(service, { url: this.gatewayd.url, headers });
  }

  get deploys(): Client<typeof gateway.DeployService> {
    return this.client(gateway.DeployService);
  }

  /** A tenant with a key of its own. */
  async tenant(name: string): Promise<{ id: string; key: string }> {
    const { id } = await this.client(gateway.TenantService).createTenant({ name });
    const { secret } = await this.client(gateway.KeyService).createKey({ tenantId: id, name });
    return { id, key: secret };
  }

  /** Deploys, and answers with all events. */
  async deploy(
    name: string,
    more: { env?: string[]; port?: number; image?: string; idempotencyKey?: string } = {},
    client = this.deploys,
  ): Promise<gateway.DeployEvent[]> {
    const { idempotencyKey = '', ...spec } = more;
    const events: gateway.DeployEvent[] = [];
    const request = { spec: { name, image: 'registry/app:1', ...spec }, idempotencyKey };
    for await (const event of client.deploy(request)) events.push(event);
    return events;
  }

  async stop(): Promise<void> {
    this.over.resolve();
    await this.gatewayd.stop();
    for (const name of this.#peers.keys()) await this.stopPeer(name);
    await this.#remove();
  }
}

/** Waits until the check passes; fails with its last error after five seconds. */
export async function eventually(check: () => Promise<void> | void): Promise<void> {
  const giveUpAt = performance.now() + 5000;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (performance.now() > giveUpAt) throw error;
      await systemClock.sleep(10);
    }
  }
}
