import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isIngotError } from '@ingot/daemon-kit';
import { parseImageReference, resolvedName } from './image-reference.ts';

const digest = `sha256:${'ab'.repeat(32)}`;

test('references as docker reads them', () => {
  const cases: [text: string, registry: string, repository: string, tag: string, pin?: string][] = [
    ['nginx', 'docker.io', 'library/nginx', 'latest'],
    ['nginx:1.25', 'docker.io', 'library/nginx', '1.25'],
    ['me/app', 'docker.io', 'me/app', 'latest'],
    ['index.docker.io/nginx', 'docker.io', 'library/nginx', 'latest'],
    ['docker.io/me/app:x', 'docker.io', 'me/app', 'x'],
    ['localhost/app', 'localhost', 'app', 'latest'],
    ['127.0.0.1:5000/shop:1', '127.0.0.1:5000', 'shop', '1'],
    ['[::1]:5000/shop', '[::1]:5000', 'shop', 'latest'],
    ['Registry/app', 'Registry', 'app', 'latest'],
    ['ghcr.io/a/b/c__d-e.f:T_1', 'ghcr.io', 'a/b/c__d-e.f', 'T_1'],
    [`ghcr.io/a/b:tag@${digest}`, 'ghcr.io', 'a/b', 'tag', digest],
    [`a@${digest}`, 'docker.io', 'library/a', 'latest', digest],
  ];
  for (const [text, registry, repository, tag, pin] of cases) {
    assert.deepEqual(parseImageReference(text), { registry, repository, tag, digest: pin }, text);
  }
  assert.equal(
    resolvedName(parseImageReference('nginx'), digest),
    `docker.io/library/nginx@${digest}`,
  );
});

test('what is no reference is refused', () => {
  for (const text of [
    ...['', '/', 'a/', '/a', 'a//b', 'A', 'a/B', 'a:', 'a:-x', 'a b', 'http://a/b', 'a@sha256:12'],
    ...['a@md5:12', '-a', 'a-', 'a..b', 'a___b', 'host:port/a', 'a'.repeat(300), '../a', 'a/../b'],
    ...['a:tag:tag', 'h:1/a@b@c', 'a\n', 'ex ample.com/a', `a:${'x'.repeat(129)}`, '.hidden/a'],
  ]) {
    assert.throws(
      () => parseImageReference(text),
      (error) => isIngotError(error, 'invalid_argument'),
      JSON.stringify(text),
    );
  }
});
