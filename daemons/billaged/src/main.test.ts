import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { create } from '@bufbuild/protobuf';
import { billing, hashSamples } from '@ingot/contracts';
import { createRpcClient, ensurePki, isTransient, loadIdentity } from '@ingot/daemon-kit';
import { freePort, type TempDir, tempDir } from '@ingot/testkit';

const main = fileURLToPath(new URL('./main.ts', import.meta.url));
const run = {
  hostId: 'host-1',
  vmId: '6f1e0c6e-0d0a-4b53-9d53-2f1f5c4f6a01',
  bootEpoch: 1,
  tenantId: 'acme',
  deploymentId: 'shop',
};
const startedAt = Date.now() - 10_000;
let data: TempDir;
let port: number;
let daemon: ChildProcess;

before(async () => {
  data = await tempDir();
  port = await freePort();
  await ensurePki(join(data.path, 'pki'), ['billaged', 'metald', 'gatewayd']);
});

after(async () => {
  daemon.kill('SIGKILL');
  await enginesGone();
  await data.remove();
});

function start(): ChildProcess {
  return spawn(process.execPath, [main], {
    cwd: data.path,
    env: {
      INGOT_DATA_DIR: data.path,
      INGOT_BILLAGED_LISTEN: `127.0.0.1:${port}`,
      INGOT_LOG_LEVEL: 'error',
    },
    stdio: 'inherit',
  });
}

/** Processes that have our data directory on their command line: the engine's. */
function engines(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(data.path);
      } catch {
        return false;
      }
    })
    .map(Number);
}

async function enginesGone(): Promise<void> {
  for (let tries = 0; engines().length > 0; tries++) {
    assert.ok(tries < 50, 'the engine outlived billaged');
    await delay(100);
  }
}

function batch(first: number, count: number) {
  const samples = Array.from({ length: count }, (_, index) => {
    const sequence = BigInt(first + index);
    return create(billing.SampleSchema, {
      sequence,
      atUnixMs: BigInt(startedAt),
      coversMs: 100,
      cpuNs: sequence * 1_000_000n,
      memoryBytes: 134_217_728n,
    });
  });
  return { run, samples, contentSha256: hashSamples(samples) };
}

async function clients() {
  const url = `https://127.0.0.1:${port}`;
  const pki = join(data.path, 'pki');
  const of = async (name: string) => ({
    url,
    identity: await loadIdentity(pki, name),
    expect: 'billaged',
  });
  return {
    metald: createRpcClient(billing.BillingService, await of('metald')),
    gatewayd: createRpcClient(billing.UsageService, await of('gatewayd')),
  };
}

async function untilAnswered<T>(call: () => Promise<T>): Promise<T> {
  for (let tries = 0; ; tries++) {
    try {
      return await call();
    } catch (error) {
      if (!isTransient(error) || tries === 100) throw error;
      await delay(100);
    }
  }
}

test('billaged killed with -9 under load: nothing acknowledged is lost, nothing is there twice', async () => {
  const { metald, gatewayd } = await clients();
  const progress = { through: 0, done: false };
  daemon = start();

  // As metald does: the same batch again until it is acknowledged, then the next.
  async function sendAll(): Promise<void> {
    while (!progress.done) {
      const next = batch(progress.through + 1, 200);
      const answer = await untilAnswered(() => metald.sendMetricsBatch(next));
      assert.equal(Number(answer.storedThrough), progress.through + 200);
      progress.through += 200;
    }
  }

  const sending = sendAll();
  for (let kill = 0; kill < 6; kill++) {
    const reached = progress.through;
    while (progress.through === reached) await delay(5);
    await delay(kill * 40);
    daemon.kill('SIGKILL');
    await once(daemon, 'exit');
    // At once, while the old engine may still hold the lock.
    daemon = start();
  }
  progress.done = true;
  await sending;

  const range = { fromUnixMs: 0n, toUnixMs: 2n ** 62n };
  const answer = await untilAnswered(() => gatewayd.queryUsage({ tenantId: 'acme', ...range }));
  const samples = BigInt(progress.through);
  assert.ok(samples > 0n);
  assert.partialDeepStrictEqual(answer.deployments[0]?.usage, {
    samples,
    cpuNs: samples * 1_000_000n,
    vmMs: samples * 100n,
  });

  daemon.kill('SIGTERM');
  assert.deepEqual(await once(daemon, 'exit'), [0, null]);
  await enginesGone();
});
