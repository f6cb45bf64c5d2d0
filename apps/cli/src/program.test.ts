import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ingot } from './test/test-context.ts';

const env = { INGOT_DATA_DIR: '/nowhere/at/all' };

const wrong: [what: string, ...args: string[]][] = [
  ['no command'],
  ['an unknown command', 'deplyo'],
  ['an unknown option', 'ps', '--wide'],
  ['a missing option', 'deploy', '--name', 'x'],
  ['a missing argument', 'rm'],
  ['an argument too many', 'deploy', '--name', 'x', '--image', 'y', './folder'],
  ['a port that is no number', 'deploy', '--name', 'x', '--image', 'y', '--port', 'http'],
  ['an env without a name', 'deploy', '--name', 'x', '--image', 'y', '--env', '=1'],
  ['a time that is none', 'usage', '--from', 'yesterday'],
];
for (const [what, ...args] of wrong) {
  test(`${what} is wrong usage: exit code 2, and a hint on standard error`, async () => {
    const run = await ingot(args, env);
    assert.equal(run.code, 2);
    assert.equal(run.out, '');
    assert.match(run.err, /--help|Usage/);
  });
}

test('help is not an error', async () => {
  const run = await ingot(['deploy', '--help'], env);
  assert.equal(run.code, 0);
  assert.match(run.out, /--image <reference>/);
});

test('a command that fails exits 1 with the reason on standard error', async () => {
  const plain = await ingot(['ps'], env);
  assert.equal(plain.code, 1);
  assert.equal(plain.out, '');
  assert.match(plain.err, /^ingot: there is no API key.*\n {2}→ .*INGOT_KEY/);
  const json = await ingot(['ps', '--json'], env);
  const { error } = JSON.parse(json.err) as { error: { reason: string } };
  assert.equal(error.reason, 'unauthenticated');
});
