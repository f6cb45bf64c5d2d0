import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { parseNetDev, parseStat, ProcCounters } from './proc-counters.ts';

test('a busy process: its CPU time within 5 % of what it says itself', async () => {
  const script = `const end=Date.now()+1500;while(Date.now()<end);const u=process.cpuUsage();console.log(u.user+u.system);setTimeout(()=>0,60000)`;
  const child = spawn(process.execPath, ['-e', script]);
  const pid = child.pid ?? 0;
  const counters = new ProcCounters();
  try {
    const { startTimeTicks } = parseStat(readFileSync(`/proc/${pid}/stat`, 'latin1'));
    assert.equal(counters.open(pid, startTimeTicks + 1), undefined, 'another process of this pid');
    const probe = counters.open(pid, startTimeTicks);
    const said = await new Promise<string>((resolve) =>
      child.stdout.once('data', (chunk: Buffer) => resolve(chunk.toString())),
    );
    await delay(50);
    const read = probe?.read();
    const expectedNs = Number(said) * 1_000;
    const ratio = Number(read?.cpuNs) / expectedNs;
    assert.ok(ratio > 0.95 && ratio < 1.05, `read ${read?.cpuNs}, expected ${expectedNs}`);
    assert.ok((read?.residentBytes ?? 0n) > 10_000_000n);
    const exited = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await exited;
    assert.equal(probe?.read(), undefined, 'gone');
    probe?.close();
  } finally {
    child.kill('SIGKILL');
    counters.close();
  }
});

test('the names of processes and interfaces do not confuse the parsers', () => {
  const stat = `7 (a) b) c) S 1 7 7 0 -1 0 0 0 0 0 3 4 0 0 20 0 1 0 555 9000 12 0`;
  assert.deepEqual(parseStat(stat), {
    cpuNs: 70_000_000n,
    residentBytes: 49_152n,
    startTimeTicks: 555,
    ended: false,
  });
  const net = parseNetDev('Inter-|\n face |\n  veth:10 1 0 0 0 0 0 0 20 2 0 0 0 0 0 0\n');
  assert.deepEqual(net.get('veth'), { txBytes: 10n, rxBytes: 20n });
});

test('all interfaces of the host are seen', () => {
  const counters = new ProcCounters();
  assert.ok(counters.readNetwork().has('lo'));
  assert.ok(counters.readNetwork().has('lo'));
  counters.close();
});
