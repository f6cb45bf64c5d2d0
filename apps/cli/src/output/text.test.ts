import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IngotError } from '@ingot/daemon-kit';
import { formatDuration } from './duration.ts';
import { errorText } from './error-text.ts';
import { formatTable } from './table.ts';

test('durations are short', () => {
  assert.equal(formatDuration(830), '0.8 s');
  assert.equal(formatDuration(59_940), '59.9 s');
  assert.equal(formatDuration(59_960), '1 min');
  assert.equal(formatDuration(200_000), '3 min 20 s');
  assert.equal(formatDuration(90_000_000), '1 d 1 h');
});

test('tables line up and leave no trailing blanks', () => {
  const text = formatTable(
    [{ heading: 'NAME' }, { heading: 'N', align: 'right' }, { heading: 'END' }],
    [
      ['long name', '1', ''],
      ['x', '200', 'y'],
    ],
  );
  assert.equal(text, 'NAME         N  END\nlong name    1\nx          200  y\n');
});

test('an error says what, why and what next', () => {
  const error = new IngotError('app_exited', 'the app exited with 3', {
    log: ['first', 'last'],
    remedy: 'correct the app',
  });
  assert.equal(
    errorText(error),
    'ingot: the app exited with 3\n  | first\n  | last\n  → correct the app\n',
  );
});
