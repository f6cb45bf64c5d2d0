import assert from 'node:assert/strict';
import { test } from 'node:test';
import { targetOf } from './host-name.ts';

test('everything below the domain is a deployment, everything else is the gateway', () => {
  for (const host of ['localhost', 'localhost:8080', '127.0.0.1:8080', '[::1]:8080', '', 'a.b']) {
    assert.deepEqual(targetOf(host, 'localhost'), { kind: 'gateway' }, host);
  }
  for (const [host, name] of [
    ['shop.localhost', 'shop'],
    ['SHOP.LocalHost.:8080', 'shop'],
    ['a.b.localhost:1', 'a.b'],
    ['.localhost', ''],
  ] as const) {
    assert.deepEqual(targetOf(host, 'localhost'), { kind: 'deployment', name }, host);
  }
});
