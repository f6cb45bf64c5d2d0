import assert from 'node:assert/strict';
import { appendFile, rename, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { systemClock } from '@ingot/daemon-kit';
import { tempDir } from '@ingot/testkit';
import { lastLines, readConsole } from './console.ts';

async function read(path: string, tailLines: number): Promise<string> {
  const { signal } = new AbortController();
  const isOver = async () => false;
  const chunks: Buffer[] = [];
  const reading = { path, tailLines, follow: false, isOver, clock: systemClock, signal };
  for await (const chunk of readConsole(reading)) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

test('a tail is exact, however long the lines and whether or not the last one has ended', async () => {
  await using temp = await tempDir();
  const path = join(temp.path, 'console.log');
  assert.equal(await read(path, 5), '', 'no file yet');
  const lines = Array.from({ length: 40 }, (_, n) => `${n}`.repeat(1 + n * 300));
  for (const end of ['', '\n']) {
    await writeFile(path, lines.join('\n') + end);
    assert.equal(await read(path, 0), lines.join('\n') + end);
    for (const count of [1, 2, 17, 40, 100]) {
      assert.equal(await read(path, count), lines.slice(-count).join('\n') + end);
    }
  }
});

test('the lines that explain an end: at most so many, without what a terminal adds, cut when endless', async () => {
  await using temp = await tempDir();
  const path = join(temp.path, 'console.log');
  assert.deepEqual(await lastLines(path, 3), []);
  await writeFile(path, `a\r\nb\r\n\r\n${'x'.repeat(10_000)}\r\n`);
  const found = await lastLines(path, 3);
  assert.deepEqual(
    found.map((line) => line.length),
    [1, 0, 2000],
  );
});

test('following goes on through growth, truncation and replacement, and ends when told', async () => {
  await using temp = await tempDir();
  const path = join(temp.path, 'console.log');
  let over = false;
  let text = '';
  const done = (async () => {
    const { signal } = new AbortController();
    const isOver = async () => over;
    const reading = { path, tailLines: 0, follow: true, isOver, clock: systemClock, signal };
    for await (const chunk of readConsole(reading)) text += chunk.toString('utf8');
  })();
  const seen = async (what: string) => {
    while (!text.endsWith(what)) await delay(5);
  };
  await delay(20);
  await writeFile(path, 'a long first line\n');
  await seen('first line\n');
  await truncate(path, 0);
  await appendFile(path, 'cut\n');
  await seen('cut\n');
  await rename(path, `${path}.1`);
  await writeFile(path, 'new\n');
  await seen('new\n');
  await appendFile(path, 'last\n');
  over = true;
  await done;
  assert.equal(text, 'a long first line\ncut\nnew\nlast\n');
});
