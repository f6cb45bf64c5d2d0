import assert from 'node:assert/strict';
import { test } from 'node:test';
import { auditRun, noFindings } from './usage-audit.ts';

const life = {
  ...{ vmId: 'vm', bootEpoch: 1, tenantId: 'acme', deploymentId: 'shop' },
  ...{ startedMs: 10_000, stoppedMs: 10_400 },
};
const sample = (sequence: number, cpuMs: number) => ({
  sequence: BigInt(sequence),
  atUnixMs: BigInt(10_000 + sequence * 100),
  coversMs: 100,
  cpuNs: BigInt(cpuMs) * 1_000_000n,
});
const whole = [1, 2, 3, 4].map((sequence) => sample(sequence, 50 * sequence));
const seen = (least: number, most: number) => ({
  cpuAt: () => ({ least: BigInt(least) * 1_000_000n, most: BigInt(most) * 1_000_000n }),
});

function audit(
  samples = whole,
  gaps: { fromMs: number; toMs: number }[] = [],
  watch = seen(190, 210),
) {
  const found = noFindings(1);
  const declared = gaps.map((gap) => ({ ...gap, cause: 'metald_down' }));
  auditRun(found, life, samples, declared, watch);
  return found;
}

test('a whole run, and one with a declared gap, are found sound', () => {
  assert.deepEqual(audit().violations, []);
  const gap = { fromMs: 10_300, toMs: 10_400 };
  assert.deepEqual(audit(whole.slice(0, 3), [gap], seen(140, 160)).violations, []);
});

test('what is lost or there twice is found', () => {
  assert.deepEqual(audit(whole.slice(0, 3)).lost, { samples: 0, ms: 100 });
  assert.deepEqual(audit(whole.toSpliced(1, 1)).lost, { samples: 1, ms: 100 });
  assert.deepEqual(audit([...whole.slice(0, 1), ...whole]).duplicated, { samples: 1, ms: 100 });
  assert.deepEqual(audit(whole, [{ fromMs: 10_000, toMs: 10_001 }]).duplicated, {
    samples: 0,
    ms: 1,
  });
});

test('CPU that nobody used, and CPU that nobody is billed for, are found', () => {
  assert.match(audit(whole, [], seen(100, 170)).violations.join(), /had used only/);
  assert.match(audit(whole, [], seen(250, 260)).violations.join(), /had used \d+ before/);
});
