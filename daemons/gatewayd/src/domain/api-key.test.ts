import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { hashApiKey, isApiKey, mintApiKey, prefixOf } from './api-key.ts';

test('what is minted is a key, in the shape scanners look for', () => {
  for (let round = 0; round < 200; round++) {
    const key = mintApiKey(randomBytes);
    assert.match(key, /^ingot_[0-9A-Za-z]{32}_[0-9A-Za-z]{6}$/);
    assert.ok(isApiKey(key));
    assert.ok(key.startsWith(prefixOf(key)));
  }
});

test('every character of the alphabet is as likely as another', () => {
  // 0 to 247 is four times the alphabet; the rest must be thrown away, not folded in.
  const all = Uint8Array.from({ length: 256 }, (_, byte) => byte);
  const key = mintApiKey(() => all.subarray(224));
  assert.equal(new Set(key.slice(6, 38)).size, 24);
});

test('a typo anywhere is noticed', () => {
  const key = mintApiKey(randomBytes);
  fc.assert(
    fc.property(fc.nat(key.length - 1), fc.string({ minLength: 1, maxLength: 1 }), (at, other) => {
      fc.pre(key[at] !== other);
      assert.ok(!isApiKey(key.slice(0, at) + other + key.slice(at + 1)));
    }),
  );
});

test('no text makes the parser fail, and none but a key passes', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.string({ unit: 'binary' })), (text) => {
      assert.equal(isApiKey(text), false);
      assert.match(hashApiKey(text), /^[0-9a-f]{64}$/);
    }),
    { numRuns: 2000 },
  );
});
