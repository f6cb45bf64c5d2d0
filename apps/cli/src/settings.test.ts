import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { isIngotError } from '@ingot/daemon-kit';
import { tempDir } from '@ingot/testkit';
import { readCliSettings } from './settings.ts';
import { daemonEnvironment } from './system/daemons.ts';

const surroundings = { cwd: '/somewhere', repoDir: '/repo' };

test('without anything the defaults hold', () => {
  const settings = readCliSettings({ ...surroundings, env: {} }, {});
  assert.equal(settings.dataDir, '/repo/.ingot');
  assert.equal(settings.url, 'http://127.0.0.1:8080');
  assert.equal(settings.key, undefined);
  assert.equal(settings.listen.metald, '127.0.0.1:8084');
  assert.equal(settings.registryPort, 5000);
  assert.equal(settings.registryPortChosen, false);
});

test('flags win over the environment, that over the file, that over defaults', async () => {
  await using dir = await tempDir();
  const config = join(dir.path, 'ingot.yaml');
  writeFileSync(
    config,
    'url: http://file:1\nkey: from-file\ndataDir: /data/file\nportBase: 9000\n',
  );
  const file = readCliSettings({ ...surroundings, env: {} }, { config });
  assert.deepEqual(
    [file.url, file.key, file.dataDir],
    ['http://file:1', 'from-file', '/data/file'],
  );
  assert.equal(file.listen.assetmanagerd, '127.0.0.1:9003');
  assert.equal(file.registryPort, 9005);

  const env = { INGOT_CONFIG: config, INGOT_URL: 'http://env:2', INGOT_DATA_DIR: 'relative' };
  const fromEnv = readCliSettings({ ...surroundings, env }, {});
  assert.deepEqual(
    [fromEnv.url, fromEnv.key, fromEnv.dataDir],
    ['http://env:2', 'from-file', '/somewhere/relative'],
  );

  const flags = readCliSettings(
    { ...surroundings, env: { ...env, INGOT_KEY: 'from-env' } },
    { url: 'http://flag:3/', dataDir: '/data/flag' },
  );
  assert.deepEqual(
    [flags.url, flags.key, flags.dataDir],
    ['http://flag:3', 'from-env', '/data/flag'],
  );
});

test("a daemon's own address wins over the port base, and gives the default URL", () => {
  const env = { INGOT_PORT_BASE: '9100', INGOT_GATEWAYD_LISTEN: '0.0.0.0:80' };
  const settings = readCliSettings({ ...surroundings, env }, {});
  assert.equal(settings.url, 'http://127.0.0.1:80');
  assert.equal(settings.listen.billaged, '127.0.0.1:9101');
});

test('a wrong setting is named', async () => {
  const named = (error: unknown, name: string): boolean =>
    isIngotError(error, 'config_invalid') && error.message.includes(name);
  assert.throws(
    () => readCliSettings({ ...surroundings, env: { INGOT_PORT_BASE: 'x' } }, {}),
    (error) => named(error, 'INGOT_PORT_BASE=x'),
  );
  assert.throws(
    () => readCliSettings({ ...surroundings, env: { INGOT_URL: 'nonsense' } }, {}),
    (error) => named(error, 'nonsense'),
  );
  await using dir = await tempDir();
  const config = join(dir.path, 'ingot.yaml');
  writeFileSync(config, 'dataDirectory: /x\n');
  assert.throws(
    () => readCliSettings({ ...surroundings, env: {} }, { config }),
    (error) => named(error, 'dataDirectory'),
  );
});

test('a daemon sees its own settings and the addresses of its peers, and no key', () => {
  const env = {
    PATH: '/bin',
    INGOT_KEY: 'secret',
    NODE_OPTIONS: '--inspect',
    AWS_SECRET_ACCESS_KEY: 'secret',
    INGOT_METALD_BATCH_INTERVAL_MS: '500',
    INGOT_BILLAGED_LISTEN: '127.0.0.1:9',
  };
  const { listen, sections } = readCliSettings({ ...surroundings, env }, {});
  assert.deepEqual(
    daemonEnvironment('metald', {
      env,
      dataDir: '/data',
      configFile: '/c.yaml',
      listen,
      section: sections.metald,
    }),
    {
      PATH: '/bin',
      INGOT_DATA_DIR: '/data',
      INGOT_CONFIG: '/c.yaml',
      INGOT_METALD_LISTEN: '127.0.0.1:8084',
      INGOT_METALD_ASSETMANAGERD_URL: 'https://127.0.0.1:8083',
      INGOT_METALD_BILLAGED_URL: 'https://127.0.0.1:9',
      INGOT_METALD_BATCH_INTERVAL_MS: '500',
    },
  );
});
