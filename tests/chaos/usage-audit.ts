import { join } from 'node:path';
import { metal } from '@ingot/contracts';
import type { billing } from '@ingot/contracts';
import { createLogger, systemClock } from '@ingot/daemon-kit';
import type { Gap } from '../../daemons/billaged/src/domain/run.ts';
import type { Sample } from '../../daemons/billaged/src/domain/sample.ts';
import { ChdbUsageStore } from '../../daemons/billaged/src/usage-store/chdb/chdb-usage-store.ts';
import { type Instance, until } from '../system/instance.ts';
import type { VmmWatch } from './vmm-watch.ts';

/** What became of what was used. */
export interface Audit {
  runs: number;
  /** Milliseconds of the VMs' lives that were measured, and that were declared unmeasured. */
  measuredMs: number;
  declaredMs: number;
  /** CPU time that is billed, and that we saw the VMMs use up to 50 ms before their last samples. */
  cpuMs: { billed: number; seen: number };
  lost: { samples: number; ms: number };
  duplicated: { samples: number; ms: number };
  violations: string[];
}

/** A run that is over, as metald tells of it. */
export interface Life {
  vmId: string;
  bootEpoch: number;
  tenantId: string;
  deploymentId: string;
  startedMs: number;
  stoppedMs: number;
}

/** Every run there was, once all VMs are deleted. */
export async function livesOf(instance: Instance): Promise<Life[]> {
  const { vms } = await (await instance.vms()).listVms({ pageSize: 1000 });
  return vms.flatMap((vm) =>
    vm.state === metal.VmState.DELETED && vm.bootEpoch > 0 && vm.startedAt
      ? [
          {
            vmId: vm.id,
            bootEpoch: vm.bootEpoch,
            tenantId: vm.spec?.tenantId ?? '',
            deploymentId: vm.spec?.deploymentId ?? '',
            startedMs: unixMs(vm.startedAt),
            stoppedMs: unixMs(vm.stoppedAt),
          },
        ]
      : [],
  );
}

/** The bill over everything, once all of the lives' time is in it or has had 30 s to get there. */
export async function wholeBill(
  instance: Instance,
  lives: readonly Life[],
): Promise<billing.DeploymentUsage[]> {
  const lived = lives.reduce((sum, life) => sum + life.stoppedMs - life.startedMs, 0);
  const ask = () =>
    instance.usage().getUsage({ fromUnixMs: 1n, toUnixMs: BigInt(Date.now() + 60_000) });
  await until('all of the usage to arrive', async () => {
    const { deployments, gaps } = await ask();
    const measured = deployments.reduce((sum, one) => sum + Number(one.usage?.usage?.vmMs), 0);
    const declared = gaps.reduce((sum, gap) => sum + Number(gap.toUnixMs - gap.fromUnixMs), 0);
    return measured + declared >= lived;
  }).catch(() => undefined);
  return (await ask()).deployments.flatMap(({ usage }) => usage ?? []);
}

/**
 * Reads, while billaged is down, what it has stored of each run, and holds it against the run's life,
 * against what we saw its VMM use, and against the bill.
 */
export async function auditUsage(
  instance: Instance,
  hostId: string,
  lives: readonly Life[],
  bill: readonly billing.DeploymentUsage[],
  watch: VmmWatch,
): Promise<Audit> {
  const audit = noFindings(lives.length);
  const store = await ChdbUsageStore.open({
    directory: join(instance.dataDir, 'billaged/usage'),
    clock: systemClock,
    logger: createLogger({ name: 'chaos', level: 'silent' }),
  });
  const sums = new Map<string, { samples: number; ms: number; cpuNs: bigint }>();
  try {
    for (const life of lives) {
      const run = { ...life, hostId };
      const samples = await store.readSamples(run, 0n, 1n << 62n);
      const gaps = await store.listRunGaps(run);
      const record = await store.findRun(run);
      const sum = sums.get(life.deploymentId) ?? { samples: 0, ms: 0, cpuNs: 0n };
      sum.samples += samples.length;
      sum.ms += samples.reduce((ms, sample) => ms + sample.coversMs, 0);
      sum.cpuNs += samples.at(-1)?.cpuNs ?? 0n;
      sums.set(life.deploymentId, sum);
      auditRun(audit, life, samples, gaps, watch);
      if (record?.startedAtMs !== life.startedMs || record.stopped?.atMs !== life.stoppedMs) {
        audit.violations.push(`run ${life.vmId}: billing and metald name different begins or ends`);
      }
    }
  } finally {
    await store.close();
  }
  for (const { deploymentId, usage } of bill) {
    const { samples, ms, cpuNs } = sums.get(deploymentId) ?? { samples: 0, ms: 0, cpuNs: 0n };
    const billed = `${usage?.samples} samples, ${usage?.vmMs} ms, ${usage?.cpuNs} ns`;
    const stored = `${samples} samples, ${ms} ms, ${cpuNs} ns`;
    if (billed !== stored) {
      audit.violations.push(
        `deployment ${deploymentId}: billed ${billed}; its runs have ${stored}`,
      );
    }
  }
  return audit;
}

export function noFindings(runs: number): Audit {
  return {
    runs,
    measuredMs: 0,
    declaredMs: 0,
    cpuMs: { billed: 0, seen: 0 },
    lost: { samples: 0, ms: 0 },
    duplicated: { samples: 0, ms: 0 },
    violations: [],
  };
}

/** Adds what is found about one run. */
export function auditRun(
  audit: Audit,
  life: Life,
  samples: readonly Pick<Sample, 'sequence' | 'atUnixMs' | 'coversMs' | 'cpuNs'>[],
  gaps: readonly Gap[],
  watch: Pick<VmmWatch, 'cpuAt'>,
): void {
  const complain = (what: string): void => {
    audit.violations.push(`run ${life.vmId}/${life.bootEpoch}: ${what}`);
  };
  const distinct = new Set(samples.map((sample) => sample.sequence));
  const twice = samples.length - distinct.size;
  const missing = Number(samples.at(-1)?.sequence ?? 0n) - distinct.size;
  audit.duplicated.samples += twice;
  if (twice > 0) complain(`${twice} samples are stored twice`);
  if (missing > 0 && !gaps.some((gap) => gap.cause === 'journal_damaged')) {
    audit.lost.samples += missing;
    complain(`${missing} samples are missing`);
  }
  const measured = samples.reduce((sum, sample) => sum + sample.coversMs, 0);
  const declared = gaps.reduce((sum, gap) => sum + gap.toMs - gap.fromMs, 0);
  audit.measuredMs += measured;
  audit.declaredMs += declared;
  const lived = life.stoppedMs - life.startedMs;
  const difference = measured + declared - lived;
  if (difference !== 0) {
    audit[difference < 0 ? 'lost' : 'duplicated'].ms += Math.abs(difference);
    complain(`lived ${lived} ms; measured ${measured} and declared ${declared}: ${difference} ms`);
  }
  const last = samples.at(-1);
  if (!last) return;
  // Our own looks are 200 ms apart, and /proc/PID/stat counts in steps of 10 ms.
  const { least } = watch.cpuAt(life.vmId, Number(last.atUnixMs) - 50);
  const { most } = watch.cpuAt(life.vmId, Number(last.atUnixMs) + 50);
  audit.cpuMs.billed += Math.round(Number(last.cpuNs) / 1e6);
  audit.cpuMs.seen += Math.round(Number(least) / 1e6);
  if (Number(last.cpuNs) < 0.95 * Number(least) - 20e6) {
    complain(`${last.cpuNs} ns of CPU are billed, the VMM had used ${least} before`);
  }
  if (most !== undefined && last.cpuNs > most + 20_000_000n) {
    complain(`${last.cpuNs} ns of CPU are billed, the VMM had used only ${most} later`);
  }
}

function unixMs(at: { seconds: bigint; nanos: number } | undefined): number {
  return Math.trunc(Number(at?.seconds ?? 0n) * 1000 + (at?.nanos ?? 0) / 1e6);
}
