// One tick of metering for 1,000 VMs: reading every counter and appending the samples to the journal.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLogger, systemClock } from '@ingot/daemon-kit';
import { parseStat, ProcCounters } from '../daemons/metald/src/metering/counters/proc-counters.ts';
import { Journal } from '../daemons/metald/src/metering/journal/journal.ts';
import { Sampler } from '../daemons/metald/src/metering/sampler.ts';
import type { BenchmarkResult } from './run.ts';

const vms = 1_000;
const ticks = 100;
const tickMs = 100;

/** Median milliseconds of a tick; the ratio is the share of the tick's 100 ms. */
export async function run(): Promise<BenchmarkResult> {
  const dir = mkdtempSync(join(tmpdir(), 'ingot-bench-'));
  // One process stands in for a thousand: it is opened and read once for each of them.
  const child = spawn('sleep', ['600']);
  await once(child, 'spawn');
  try {
    const pid = child.pid ?? 0;
    const { startTimeTicks } = parseStat(readFileSync(`/proc/${pid}/stat`, 'latin1'));
    const logger = createLogger({ name: 'bench', level: 'silent' });
    const journal = new Journal({ dir, logger });
    const sampler = new Sampler({ journal, counters: new ProcCounters(), clock: systemClock });
    for (let index = 0; index < vms; index++) {
      const log = {
        ref: journal.newRef(),
        vmId: `vm-${index}`,
        bootEpoch: 1,
        tenantId: 'acme',
        deploymentId: 'shop',
        vcpus: 1,
        memoryBytes: 128n << 20n,
        startedAtUnixMs: systemClock.now(),
        netBase: { rxBytes: 0n, txBytes: 0n },
        last: undefined,
        firstAfter: 0n,
        startAcknowledged: false,
        acknowledgedThrough: 0n,
        acknowledgedAtUnixMs: 0,
        deliveredThrough: 0n,
        gaps: [],
        nextGapId: 1,
        stoppedAtUnixMs: undefined,
      };
      journal.append({ kind: 'run', run: log });
      sampler.add(log, { pid, startTimeTicks, vethName: 'lo' }, systemClock.now());
    }
    const took: number[] = [];
    for (let tick = 0; tick < ticks; tick++) {
      const before = systemClock.monotonicMs();
      sampler.sampleAll();
      took.push(systemClock.monotonicMs() - before);
      await systemClock.sleep(10);
    }
    sampler.stop();
    await journal.close();
    const median = took.toSorted((a, b) => a - b)[ticks / 2] ?? 0;
    return {
      name: 'sample-tick',
      value: Number(median.toFixed(2)),
      unit: `ms for ${vms} VMs`,
      ratio: Number((median / tickMs).toFixed(3)),
      against: `the tick of ${tickMs} ms`,
    };
  } finally {
    child.kill('SIGKILL');
    rmSync(dir, { recursive: true, force: true });
  }
}
