import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { builder } from '@ingot/contracts';
import { createRpcClient, loadIdentity, systemClock } from '@ingot/daemon-kit';
import { buildImage, file, freePort, pushImage } from '@ingot/testkit';
import { type Bench, type BuilderClient, startBench } from './test/bench.ts';
import { startStubAssetmanagerd } from './test/stub-assetmanagerd.ts';

let bench: Bench;
before(async () => {
  bench = await startBench();
  await bench.stopBuilderd();
});
const children: ChildProcess[] = [];
after(async () => {
  for (const child of children) child.kill('SIGKILL');
  await bench.stop();
});

async function push(repository: string): Promise<string> {
  const image = await buildImage({
    layers: [[file('app', repository)]],
    config: { Cmd: ['/app'] },
  });
  await pushImage({ registry: bench.registry.url, repository, tag: '1' }, image);
  return `${bench.registry.host}/${repository}:1`;
}

/** builderd as a process of its own, as it runs in production. */
async function startProcess(
  assetmanagerdUrl: string,
): Promise<{ child: ChildProcess; client: BuilderClient }> {
  const listen = `127.0.0.1:${await freePort()}`;
  const child = spawn(process.execPath, [join(import.meta.dirname, 'main.ts')], {
    stdio: 'ignore',
    env: {
      PATH: process.env['PATH'],
      INGOT_DATA_DIR: bench.dataDir,
      INGOT_BUILDERD_LISTEN: listen,
      INGOT_BUILDERD_ASSETMANAGERD_URL: assetmanagerdUrl,
    },
  });
  children.push(child);
  const url = `https://${listen}`;
  const identity = await loadIdentity(join(bench.dataDir, 'pki'), 'gatewayd');
  const client = createRpcClient(builder.BuilderService, { url, identity, expect: 'builderd' });
  await eventually(async () => client.listBuilds({}));
  return { child, client };
}

async function kill(child: ChildProcess): Promise<void> {
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}

async function eventually<T>(attempt: () => Promise<T>): Promise<T> {
  for (let left = 100; ; left--) {
    try {
      return await attempt();
    } catch (error) {
      if (left === 0) throw error;
      await systemClock.sleep(100);
    }
  }
}

async function finished(client: BuilderClient, buildId: string): Promise<builder.Build> {
  return eventually(async () => {
    const build = await client.getBuild({ buildId });
    assert.ok(build.finishedAt, 'still running');
    return build;
  });
}

test('killed while it hands a result over, builderd starts the build again and ends it', async () => {
  const nobody = await freePort();
  const first = await startProcess(`https://127.0.0.1:${nobody}`);
  const request = { tenantId: 'acme', image: await push('killed'), idempotencyKey: 'k' };
  const { id } = await first.client.buildFromImage(request);
  await eventually(async () => assert.equal((await bench.assets.inbox()).length, 1));
  await kill(first.child);

  const assets = await startStubAssetmanagerd(bench.dataDir, `127.0.0.1:${nobody}`);
  const second = await startProcess(assets.url);
  try {
    const build = await finished(second.client, id);
    assert.equal(build.state, builder.BuildState.SUCCEEDED, build.failure?.message);
    assert.ok(assets.assets.has(build.rootfsAssetId));
    assert.deepEqual(await bench.leftovers(), []);
    const lines: string[] = [];
    for await (const { line } of second.client.streamBuildLogs({ buildId: id })) lines.push(line);
    assert.ok(lines.some((line) => line.includes('restarted')));
    const again = await second.client.buildFromImage(request);
    assert.equal(again.id, id);
  } finally {
    await kill(second.child);
    await assets.stop();
  }
});

test('what a dead daemon left lying about is gone after a start', async () => {
  const work = join(bench.dataDir, 'builderd', 'work', 'some-build');
  await mkdir(work, { recursive: true });
  await writeFile(join(work, 'layer-0.tar'), 'half');
  await bench.restart();
  assert.deepEqual(
    await readdir(join(bench.dataDir, 'builderd')).then((n) => n.includes('work')),
    false,
  );
});

test('a build that keeps killing builderd is given up', async () => {
  await bench.stopBuilderd();
  const { SqliteBuildStore } = await import('./build-store/sqlite/sqlite-build-store.ts');
  const store = new SqliteBuildStore(join(bench.dataDir, 'builderd', 'builds.sqlite'));
  const { id } = await store.add({
    id: crypto.randomUUID(),
    tenantId: 'acme',
    image: 'x',
    idempotencyKey: 'deadly',
    createdAtMs: 0,
  });
  await store.update(id, { state: 'running', attempts: 3 });
  await store.close();
  await bench.restart();
  const build = await bench.waitFor(id);
  assert.equal(build.failure?.reason, 'build_failed');
  assert.match(build.failure?.message ?? '', /3 times/);
});

test('stopped in the middle, the build goes on after the next start', async () => {
  const away = `https://127.0.0.1:${await freePort()}`;
  await bench.restart({ assetmanagerdUrl: away, assetWaitMs: 60_000 });
  const image = await push('stopped');
  const { id } = await bench.client.buildFromImage({ tenantId: 'a', image, idempotencyKey: 's' });
  await eventually(async () => assert.equal((await bench.assets.inbox()).length, 1));
  await bench.restart();
  const build = await bench.waitFor(id);
  assert.equal(build.state, builder.BuildState.SUCCEEDED, build.failure?.message);
  assert.deepEqual(await bench.leftovers(), []);
});
