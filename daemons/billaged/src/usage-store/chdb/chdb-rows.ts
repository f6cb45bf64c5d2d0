import { z } from 'zod';
import type { Gap, Heartbeat, RunRecord } from '../../domain/run.ts';
import type { Sample, StoredSample } from '../../domain/sample.ts';
import type { DeploymentUsage, RunGap } from '../usage-store.ts';

const big = z
  .string()
  .regex(/^-?\d+$/)
  .transform(BigInt);
const milliseconds = z
  .string()
  .regex(/^-?\d+$/)
  .transform(Number);

/** The columns of a sample behind those of its run, in the order `sampleValues` gives them. */
export const sampleColumns = [
  'sequence',
  'at_ms',
  'covers_ms',
  'cpu_ns',
  'memory_bytes',
  'resident_bytes',
  'disk_read_bytes',
  'disk_write_bytes',
  'net_rx_bytes',
  'net_tx_bytes',
] as const;

export const growthColumns = [
  'used_cpu_ns',
  'used_disk_read_bytes',
  'used_disk_write_bytes',
  'used_net_rx_bytes',
  'used_net_tx_bytes',
] as const;

export function sampleValues(s: StoredSample): (bigint | number)[] {
  return [
    s.sequence,
    s.atUnixMs,
    s.coversMs,
    s.cpuNs,
    s.memoryBytes,
    s.residentBytes,
    s.diskReadBytes,
    s.diskWriteBytes,
    s.netRxBytes,
    s.netTxBytes,
    s.used.cpuNs,
    s.used.diskReadBytes,
    s.used.diskWriteBytes,
    s.used.netRxBytes,
    s.used.netTxBytes,
  ];
}

/** A row of `sampleColumns`. */
export const sampleRow = z
  .strictObject({
    sequence: big,
    at_ms: big,
    covers_ms: z.number(),
    cpu_ns: big,
    memory_bytes: big,
    resident_bytes: big,
    disk_read_bytes: big,
    disk_write_bytes: big,
    net_rx_bytes: big,
    net_tx_bytes: big,
  })
  .transform((row): Sample => ({
    sequence: row.sequence,
    atUnixMs: row.at_ms,
    coversMs: row.covers_ms,
    cpuNs: row.cpu_ns,
    memoryBytes: row.memory_bytes,
    residentBytes: row.resident_bytes,
    diskReadBytes: row.disk_read_bytes,
    diskWriteBytes: row.disk_write_bytes,
    netRxBytes: row.net_rx_bytes,
    netTxBytes: row.net_tx_bytes,
  }));

/** A row of the query over run_events; the tail is read for itself. */
export const runRow = z
  .strictObject({
    host_id: z.string(),
    vm_id: z.string(),
    boot_epoch: z.number(),
    tenant: z.string(),
    deployment: z.string(),
    started_ms: milliseconds.nullable(),
    stopped_ms: milliseconds.nullable(),
    end_sequence: big,
  })
  .transform((row): Omit<RunRecord, 'tail'> => ({
    run: {
      hostId: row.host_id,
      vmId: row.vm_id,
      bootEpoch: row.boot_epoch,
      tenantId: row.tenant,
      deploymentId: row.deployment,
    },
    startedAtMs: row.started_ms ?? undefined,
    stopped:
      row.stopped_ms === null
        ? undefined
        : { atMs: row.stopped_ms, lastSequence: row.end_sequence },
  }));

const gapFields = { from_ms: milliseconds, to_ms: milliseconds, cause: z.string() };

export const gapRow = z
  .strictObject(gapFields)
  .transform((row): Gap => ({ fromMs: row.from_ms, toMs: row.to_ms, cause: row.cause }));

export const runGapRow = z
  .strictObject({ vm_id: z.string(), boot_epoch: z.number(), ...gapFields })
  .transform((row): RunGap => ({
    vmId: row.vm_id,
    bootEpoch: row.boot_epoch,
    fromMs: row.from_ms,
    toMs: row.to_ms,
    cause: row.cause,
  }));

export const heartbeatRow = z
  .strictObject({
    host_id: z.string(),
    at_ms: milliseconds,
    all_known_at_ms: milliseconds.nullable(),
    runs: z.array(z.tuple([z.string(), z.number(), big])),
  })
  .transform((row): Heartbeat => ({
    hostId: row.host_id,
    atMs: row.at_ms,
    allKnownAtMs: row.all_known_at_ms ?? undefined,
    runs: row.runs.map(([vmId, bootEpoch, lastSequence]) => ({ vmId, bootEpoch, lastSequence })),
  }));

export const usageRow = z
  .strictObject({
    deployment_id: z.string(),
    cpu_ns: big,
    memory_byte_ms: big,
    vm_ms: big,
    disk_read_bytes: big,
    disk_write_bytes: big,
    net_rx_bytes: big,
    net_tx_bytes: big,
    samples: big,
  })
  .transform((row): DeploymentUsage => ({
    deploymentId: row.deployment_id,
    usage: {
      cpuNs: row.cpu_ns,
      memoryByteMs: row.memory_byte_ms,
      vmMs: row.vm_ms,
      diskReadBytes: row.disk_read_bytes,
      diskWriteBytes: row.disk_write_bytes,
      netRxBytes: row.net_rx_bytes,
      netTxBytes: row.net_tx_bytes,
      samples: row.samples,
    },
  }));
