import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { systemClock } from '@ingot/daemon-kit/client';
import { Child } from './child.ts';
import { RunState } from './run-state.ts';

test('a state that cannot be noted, as on a full disk, ends neither the daemon nor who looks after it', async (t) => {
  const dataDir = mkdtempSync(join(tmpdir(), 'ingot-cli-'));
  t.after(() => rmSync(dataDir, { recursive: true }));
  const reported: string[] = [];
  class FullDisk extends RunState {
    override writeChild(): void {
      throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
    }
  }
  const child = new Child(
    {
      name: 'sleeper',
      file: '/bin/sleep',
      args: ['60'],
      cwd: '/',
      env: {},
      probe: () => Promise.resolve({ ready: true, reasons: [] }),
    },
    {
      dataDir,
      clock: systemClock,
      runState: new FullDisk(dataDir),
      report: (line) => reported.push(line),
    },
  );
  await child.start();
  await child.ready(new AbortController().signal);
  assert.match(reported.join('\n'), /no space left/);
  await child.stop();
});
