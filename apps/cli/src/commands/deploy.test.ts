import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { gateway } from '@ingot/contracts';
import { IngotError } from '@ingot/daemon-kit';
import { freePort } from '@ingot/testkit';
import { type FakeGateway, startFakeGateway } from '../test/fake-gateway.ts';
import { ingot } from '../test/test-context.ts';
import { parseMemory } from './deploy.ts';

const args = ['deploy', '--name', 'shop', '--image', 'r/shop:1'];
let clock = 1_700_000_000_000;

function event(of: gateway.DeployEvent['event']): gateway.DeployEvent {
  clock += 10;
  return create(gateway.DeployEventSchema, { at: timestampFromMs(clock), event: of });
}
const step = (name: string): gateway.DeployEvent =>
  event({ case: 'step', value: create(gateway.StepStartedSchema, { name }) });
const detail = (value: string): gateway.DeployEvent => event({ case: 'detail', value });
const ready = (): gateway.DeployEvent =>
  event({
    case: 'ready',
    value: create(gateway.DeploymentSchema, {
      state: gateway.DeploymentState.READY,
      spec: { name: 'shop' },
      url: 'http://shop.localhost:8080',
    }),
  });
const failed = (): gateway.DeployEvent =>
  event({
    case: 'failed',
    value: create(gateway.DeploymentSchema, {
      state: gateway.DeploymentState.FAILED,
      spec: { name: 'shop' },
      failure: {
        step: 'boot',
        reason: 'app_exited',
        message: 'the app exited with 3',
        remedy: 'see its log',
        exitCode: 3,
        log: ['about to fail', 'failed'],
      },
    }),
  });

async function* play(...events: gateway.DeployEvent[]): AsyncGenerator<gateway.DeployEvent> {
  yield* events;
}

const envOf = ({ url }: FakeGateway): Record<string, string> => ({
  INGOT_URL: url,
  INGOT_KEY: 'test-key',
});
const jsonLines = (text: string): Record<string, unknown>[] =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);

test('a deploy that becomes ready ends with its URL on standard output', async () => {
  const specs: (gateway.DeploymentSpec | undefined)[] = [];
  const fake = await startFakeGateway({
    deploy: ({ spec }) => {
      specs.push(spec);
      return play(step('build'), detail('layer 1 of 1'), step('boot'), ready());
    },
  });
  const more = ['--env', 'A=1', '--env', 'B=x=y', '--memory', '1G', '--port', '9000'];
  const run = await ingot([...args, ...more], envOf(fake));
  await fake.close();
  assert.equal(run.code, 0, run.err);
  assert.equal(run.out, 'http://shop.localhost:8080\n');
  assert.match(
    run.err,
    /build the root file system …\n {2}layer 1 of 1\nboot it …\n✓ shop answers/,
  );
  assert.deepEqual(fake.authorizations, ['Bearer test-key']);
  const [spec] = specs;
  assert.deepEqual(spec?.env, ['A=1', 'B=x=y']);
  assert.equal(spec?.memoryMib, 1024);
  assert.equal(spec?.port, 9000);
});

test('--json is one event a line, the last one "ready"', async () => {
  const fake = await startFakeGateway({ deploy: () => play(step('build'), ready()) });
  const run = await ingot(['--json', ...args], envOf(fake));
  await fake.close();
  const events = jsonLines(run.out);
  assert.equal(run.code, 0);
  assert.deepEqual(events[0], { event: 'step', step: 'build' });
  assert.equal(events.at(-1)?.['event'], 'ready');
  assert.equal(events.at(-1)?.['url'], 'http://shop.localhost:8080');
  assert.equal(
    (events.at(-1)?.['deployment'] as { state: string } | undefined)?.state,
    'DEPLOYMENT_STATE_READY',
  );
});

test('a failed deploy exits 1 and tells the step, the reason and the end of the log', async () => {
  const fake = await startFakeGateway({ deploy: () => play(step('boot'), failed()) });
  const plain = await ingot(args, envOf(fake));
  const json = await ingot([...args, '--json'], envOf(fake));
  await fake.close();
  assert.equal(plain.code, 1);
  assert.equal(plain.out, '');
  assert.match(plain.err, /✗ shop failed at boot: the app exited with 3\n/);
  assert.match(plain.err, / {2}\| about to fail\n {2}\| failed\n {2}→ see its log\n$/);
  const last = jsonLines(json.out).at(-1);
  assert.equal(json.code, 1);
  assert.equal(last?.['event'], 'failed');
  assert.equal(last?.['step'], 'boot');
  assert.equal(last?.['reason'], 'app_exited');
  assert.equal(last?.['exitCode'], 3);
  assert.deepEqual(last?.['log'], ['about to fail', 'failed']);
});

test('a lost connection is opened again with the same key, and nothing is shown twice', async () => {
  const build = step('build');
  const layer = detail('layer 1 of 1');
  const end = ready();
  const listen = `127.0.0.1:${await freePort()}`;
  let signalBroken: () => void = () => undefined;
  const broken = new Promise<void>((resolve) => (signalBroken = resolve));
  async function* breakOff(): AsyncGenerator<gateway.DeployEvent> {
    yield build;
    yield layer;
    signalBroken();
    await new Promise(() => undefined);
  }
  const first = await startFakeGateway({ listen, deploy: breakOff });
  const running = ingot([...args, '--json'], envOf(first));
  await broken;
  await first.close(0);
  const second = await startFakeGateway({ listen, deploy: () => play(build, layer, end) });
  const run = await running;
  await second.close();
  assert.equal(run.code, 0, run.err + run.out);
  const told = jsonLines(run.out).map(({ event: name }) => name);
  assert.deepEqual(told, ['step', 'detail', 'warning', 'ready']);
  assert.equal(first.keys[0], second.keys[0]);
  assert.notEqual(first.keys[0], '');
});

test('a refused deploy says what and what next', async () => {
  const refuse = (): never => {
    throw new IngotError('name_taken', 'shop belongs to another tenant', {
      remedy: 'choose another',
    });
  };
  const fake = await startFakeGateway({ deploy: refuse });
  const plain = await ingot(args, envOf(fake));
  const json = await ingot([...args, '--json'], envOf(fake));
  await fake.close();
  assert.equal(plain.code, 1);
  assert.equal(plain.err, 'ingot: shop belongs to another tenant\n  → choose another\n');
  const last = jsonLines(json.out).at(-1);
  assert.equal(last?.['event'], 'failed');
  assert.equal(last?.['reason'], 'name_taken');
  assert.deepEqual(last?.['log'], []);
});

test('where nothing listens the error names the address and what to do', async () => {
  const url = `http://127.0.0.1:${await freePort()}`;
  const run = await ingot(args, { INGOT_URL: url, INGOT_KEY: 'k' });
  assert.equal(run.code, 1);
  assert.match(run.err, new RegExp(`gatewayd does not answer at ${url}`));
  assert.match(run.err, /→ .*ingot up/);
});

test('Ctrl-C leaves the deploy going, and says so', async () => {
  const interruption = new AbortController();
  async function* wait(): AsyncGenerator<gateway.DeployEvent> {
    yield step('build');
    interruption.abort(new Error('SIGINT'));
    await new Promise(() => undefined);
  }
  const fake = await startFakeGateway({ deploy: wait });
  const run = await ingot(args, envOf(fake), { interrupted: interruption.signal });
  await fake.close(0);
  assert.equal(run.code, 1);
  assert.match(run.err, /The deploy of shop goes on without us/);
});

test('sizes of memory are whole MiB', () => {
  assert.equal(parseMemory('256'), 256);
  assert.equal(parseMemory('256M'), 256);
  assert.equal(parseMemory('2GiB'), 2048);
  assert.throws(() => parseMemory('0.5G'), /256M or 1G/);
});
