import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type billing, gateway, metal } from '@ingot/contracts';
import { createPlainRpcClient, createRpcClient, loadIdentity } from '@ingot/daemon-kit';
import { freePort } from '@ingot/testkit';

const root = join(import.meta.dirname, '../..');
export const daemons = ['assetmanagerd', 'billaged', 'builderd', 'metald', 'gatewayd'] as const;
export type Daemon = (typeof daemons)[number];

export interface CommandResult {
  code: number;
  stdout: string;
  stderr: string;
  ms: number;
  /** One JSON document a line of standard output. */
  events: Record<string, unknown>[];
}

/** One Ingot installation of a test's own: a data directory, ports, five real processes. */
export class Instance {
  readonly dataDir = mkdtempSync('/tmp/ingot-sys-');
  readonly env: Record<string, string>;
  readonly #ports: Record<Daemon, number>;

  private constructor(ports: Record<Daemon, number>) {
    this.#ports = ports;
    const address = (daemon: Daemon): string => `127.0.0.1:${ports[daemon]}`;
    const url = (daemon: Daemon): string => `https://${address(daemon)}`;
    this.env = {
      PATH: process.env['PATH'] ?? '',
      INGOT_DATA_DIR: this.dataDir,
      INGOT_URL: `http://${address('gatewayd')}`,
      INGOT_METALD_BATCH_INTERVAL_MS: '3000',
      INGOT_GATEWAYD_BUILDERD_URL: url('builderd'),
      INGOT_GATEWAYD_METALD_URL: url('metald'),
      INGOT_GATEWAYD_BILLAGED_URL: url('billaged'),
      INGOT_BUILDERD_ASSETMANAGERD_URL: url('assetmanagerd'),
      INGOT_METALD_ASSETMANAGERD_URL: url('assetmanagerd'),
      INGOT_METALD_BILLAGED_URL: url('billaged'),
    };
    for (const daemon of daemons)
      this.env[`INGOT_${daemon.toUpperCase()}_LISTEN`] = address(daemon);
  }

  static async start(): Promise<Instance> {
    const ports: Partial<Record<Daemon, number>> = {};
    for (const daemon of daemons) ports[daemon] = await freePort();
    const instance = new Instance(ports as Record<Daemon, number>);
    await instance.up();
    return instance;
  }

  async up(): Promise<void> {
    const result = await this.ingot('up', '--detach');
    if (result.code !== 0) throw new Error(`ingot up: ${result.stdout}${result.stderr}`);
  }

  get gatewayPort(): number {
    return this.#ports.gatewayd;
  }

  /** Takes everything down; what is left afterwards is for the test to judge. */
  async down(): Promise<CommandResult> {
    return this.ingot('down');
  }

  removeData(): void {
    rmSync(this.dataDir, { recursive: true, force: true });
  }

  spawn(...args: string[]): ChildProcess {
    return spawn(join(root, 'ingot'), args, { env: this.env, stdio: ['ignore', 'pipe', 'pipe'] });
  }

  /** Runs the `ingot` command to its end. */
  async ingot(...args: string[]): Promise<CommandResult> {
    return this.ingotWith({}, ...args);
  }

  async ingotWith(env: Record<string, string>, ...args: string[]): Promise<CommandResult> {
    const started = performance.now();
    const child = spawn(join(root, 'ingot'), args, {
      env: { ...this.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const output = { stdout: '', stderr: '' };
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output.stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (output.stderr += text));
    const code = await new Promise<number | null>((resolve) =>
      child.on('close', (status, signal) => resolve(signal === null ? status : -1)),
    );
    return {
      code: code ?? -1,
      ...output,
      ms: performance.now() - started,
      events: parseLines(output.stdout),
    };
  }

  /** Deploys and expects it to be ready; answers the deployment as the API sees it. */
  async deploy(name: string, image: string, ...more: string[]): Promise<gateway.Deployment> {
    const result = await this.ingot('deploy', '--json', '--name', name, '--image', image, ...more);
    if (result.code !== 0) throw new Error(`deploy ${name}: ${result.stdout}${result.stderr}`);
    return this.deployments().get({ name });
  }

  adminKey(): string {
    return readFileSync(join(this.dataDir, 'gatewayd/admin.key'), 'utf8').trim();
  }

  #headers(key: string): { url: string; headers: Record<string, string> } {
    return { url: this.env['INGOT_URL'] ?? '', headers: { authorization: `Bearer ${key}` } };
  }

  deployments(key = this.adminKey()) {
    return createPlainRpcClient(gateway.DeployService, this.#headers(key));
  }

  usage(key = this.adminKey()) {
    return createPlainRpcClient(gateway.UsageService, this.#headers(key));
  }

  tenants() {
    return createPlainRpcClient(gateway.TenantService, this.#headers(this.adminKey()));
  }

  keys() {
    return createPlainRpcClient(gateway.KeyService, this.#headers(this.adminKey()));
  }

  /** metald's own view, called as gatewayd would. */
  async vms() {
    return createRpcClient(metal.VmService, {
      url: this.env['INGOT_GATEWAYD_METALD_URL'] ?? '',
      identity: await loadIdentity(join(this.dataDir, 'pki'), 'gatewayd'),
      expect: 'metald',
    });
  }

  /** metald's id of this host. */
  async hostId(): Promise<string> {
    const host = createRpcClient(metal.HostService, {
      url: this.env['INGOT_GATEWAYD_METALD_URL'] ?? '',
      identity: await loadIdentity(join(this.dataDir, 'pki'), 'gatewayd'),
      expect: 'metald',
    });
    return (await host.getHost({})).id;
  }

  /** Usage of one deployment of the operator's tenant, up to now. */
  async usageOf(name: string): Promise<billing.DeploymentUsage | undefined> {
    const answer = await this.usage().getUsage({
      name,
      fromUnixMs: 1n,
      toUnixMs: BigInt(Date.now() + 60_000),
    });
    return answer.deployments[0]?.usage;
  }

  /** An HTTP request to a deployment by its host name. */
  fetch(name: string, path = '/', headers: Record<string, string> = {}) {
    return new Promise<{ status: number; body: string; headers: Record<string, unknown> }>(
      (resolve, reject) => {
        const call = request(
          {
            host: '127.0.0.1',
            port: this.gatewayPort,
            path,
            headers: { host: `${name}.localhost:${this.gatewayPort}`, ...headers },
            agent: false,
          },
          (response) => {
            let body = '';
            response.setEncoding('utf8').on('data', (text: string) => (body += text));
            response.on('end', () =>
              resolve({ status: response.statusCode ?? 0, body, headers: response.headers }),
            );
            response.on('error', reject);
          },
        );
        call.on('error', reject);
        call.end();
      },
    );
  }

  /** Process id of a daemon, from its command line and its environment. */
  pidOf(daemon: Daemon): number {
    const status = JSON.parse(readFileSync(join(this.dataDir, 'run', `${daemon}.json`), 'utf8'));
    return (status as { pid: number }).pid;
  }

  /** kill -9; `ingot up` starts it again. Waits until the new one is ready. */
  async killDaemon(daemon: Daemon): Promise<void> {
    const before = this.pidOf(daemon);
    process.kill(before, 'SIGKILL');
    await until(`${daemon} to be started again`, () => this.pidOf(daemon) !== before);
    await this.ready(daemon);
  }

  /** Waits until a daemon answers /readyz with 200. */
  async ready(daemon: Daemon): Promise<void> {
    await until(`${daemon} to be ready`, () => readyz(this.#ports[daemon], daemon !== 'gatewayd'));
  }
}

async function readyz(port: number, tls: boolean): Promise<boolean> {
  const { request: secure } = await import('node:https');
  return new Promise((resolve) => {
    const options = { host: '127.0.0.1', port, path: '/readyz', rejectUnauthorized: false };
    const call = (tls ? secure : request)({ ...options, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    call.on('error', () => resolve(false));
    call.end();
  });
}

/** Waits for something to become true, looking every 50 ms for at most 30 s. */
export async function until(
  what: string,
  look: () => boolean | Promise<boolean>,
  timeoutMs = 30_000,
): Promise<void> {
  const end = performance.now() + timeoutMs;
  for (;;) {
    let seen: boolean;
    try {
      seen = await look();
    } catch (error) {
      if (performance.now() > end) throw error;
      seen = false;
    }
    if (seen) return;
    if (performance.now() > end) throw new Error(`waited ${timeoutMs} ms for ${what}`);
    await delay(50);
  }
}

function parseLines(text: string): Record<string, unknown>[] {
  return text.split('\n').flatMap((line) => {
    try {
      return line.startsWith('{') ? [JSON.parse(line) as Record<string, unknown>] : [];
    } catch {
      return [];
    }
  });
}
