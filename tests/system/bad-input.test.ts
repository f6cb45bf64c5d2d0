// Images that cannot become a deployment: the deploy fails at the right step, says why, and leaves
// nothing behind.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { metal } from '@ingot/contracts';
import { buildImage, file, freePort, pushImage, startRegistry } from '@ingot/testkit';
import { publish } from './images.ts';
import { Instance } from './instance.ts';

let instance: Instance;
let registry: Awaited<ReturnType<typeof startRegistry>>;

before(async () => {
  instance = await Instance.start();
  registry = await startRegistry({ dir: join(instance.dataDir, 'test-registry') });
});

after(async () => {
  await registry.stop();
  await instance.down();
  instance.removeData();
});

async function failsToDeploy(image: string, reason: string, says: RegExp): Promise<void> {
  const result = await instance.ingot('deploy', '--json', '--name', 'bad', '--image', image);
  assert.equal(result.code, 1, result.stdout);
  const last = result.events.at(-1);
  assert.equal(last?.['event'], 'failed');
  assert.equal(last?.['step'], 'build');
  assert.equal(last?.['reason'], reason);
  assert.match(JSON.stringify(last), says);
  assert.equal((await instance.ingot('rm', 'bad')).code, 0);
  const { vms } = await (await instance.vms()).listVms({});
  assert.deepEqual(
    vms.filter((vm) => vm.state !== metal.VmState.DELETED),
    [],
  );
  assert.deepEqual(readdirSync(join(instance.dataDir, 'assetmanagerd/inbox')), []);
  const work = join(instance.dataDir, 'builderd/work');
  assert.deepEqual(existsSync(work) ? readdirSync(work) : [], []);
}

const tiny = (options: Partial<Parameters<typeof buildImage>[0]> = {}) =>
  buildImage({
    layers: [[file('app', Buffer.from('x'), { mode: 0o755 })]],
    config: { Cmd: ['/app'] },
    ...options,
  });

test('an unknown image', async () => {
  await failsToDeploy(`${registry.host}/nothing:1`, 'image_not_found', /nothing/);
});

test('a registry that is down', async () => {
  await failsToDeploy(
    `127.0.0.1:${await freePort()}/app:1`,
    'registry_unreachable',
    /127\.0\.0\.1/,
  );
});

test('an image for another CPU', async () => {
  const platform = { os: 'linux', architecture: 's390x' };
  const image = await publish(registry, 'foreign', await tiny({ platform }));
  await failsToDeploy(image, 'image_wrong_platform', /s390x/);
});

test('a layer that climbs out of the root', async () => {
  const layers = [[file('../../etc/cron.d/evil', Buffer.from('x'))]];
  const image = await publish(registry, 'climber', await tiny({ layers }));
  await failsToDeploy(image, 'layer_escapes_root', /evil/);
});

test('a layer whose bytes are not what its digest says', async () => {
  const image = await tiny({ layers: [[file('app', Buffer.from('to be damaged'))]] });
  await pushImage({ registry: registry.url, repository: 'damaged', tag: '1' }, image);
  const layer = image.layers[0];
  assert.ok(layer);
  writeFileSync(registry.blobPath(layer.digest), Buffer.alloc(layer.bytes.length, 7));
  await failsToDeploy(`${registry.host}/damaged:1`, 'digest_mismatch', /digest|sha256/);
});

test('an image without a command', async () => {
  const image = await publish(registry, 'mute', await tiny({ config: {} }));
  const result = await instance.ingot('deploy', '--json', '--name', 'mute', '--image', image);
  assert.equal(result.code, 1);
  assert.equal(result.events.at(-1)?.['reason'], 'image_no_command');
});

test('wrong usage of the command', async () => {
  const noName = await instance.ingot('deploy', '--image', 'x');
  assert.equal(noName.code, 2);
  const badName = await instance.ingot('deploy', '--name', 'No Spaces!', '--image', 'x');
  assert.notEqual(badName.code, 0);
  assert.match(badName.stderr, /name/);
  const badKey = await instance.ingotWith({ INGOT_KEY: 'ingot_wrong' }, 'ps');
  assert.equal(badKey.code, 1);
  assert.match(badKey.stderr, /key/i);
});

test('a data directory that is a file', async () => {
  const path = join(instance.dataDir, 'a-file');
  writeFileSync(path, '');
  const result = await instance.ingotWith({ INGOT_DATA_DIR: path }, 'up', '--detach');
  assert.equal(result.code, 1);
  assert.match(result.stderr, /cannot be the data directory/);
  assert.doesNotMatch(result.stderr, /\n {4}at /, 'no stack trace');
});

test('a second `up` on the same data directory, and a port that is taken', async () => {
  const second = await instance.ingot('up', '--detach');
  assert.equal(second.code, 1);
  assert.match(second.stdout + second.stderr, /already|runs/);
  const taken = await instance.ingotWith(
    { INGOT_DATA_DIR: join(instance.dataDir, 'other') },
    ...['up', '--detach'],
  );
  assert.equal(taken.code, 1);
  assert.match(taken.stdout + taken.stderr, /port/);
});
