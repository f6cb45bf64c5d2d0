import { mkdir } from 'node:fs/promises';
import type { Clock, Logger } from '@ingot/daemon-kit';
import type { z } from 'zod';
import type { Gap, Heartbeat, Run, RunEnd, RunKey, RunRecord } from '../../domain/run.ts';
import type { Sample, StoredSample } from '../../domain/sample.ts';
import { ChdbProcess } from './chdb-process.ts';
import type { SqlParameters } from './chdb-protocol.ts';
import {
  gapRow,
  growthColumns,
  heartbeatRow,
  runGapRow,
  runRow,
  sampleColumns,
  sampleRow,
  sampleValues,
  usageRow,
} from './chdb-rows.ts';
import { runColumnNames, schema } from './schema.ts';
import type { DeploymentUsage, RunGap, RunStart, UsageQuery, UsageStore } from '../usage-store.ts';

type RunEvent = 'added' | 'started' | 'stopped' | 'complete';

const ofRun = `tenant_id = {tenant:String} AND deployment_id = {deployment:String}
  AND vm_id = {vm:String} AND boot_epoch = {epoch:UInt32} AND host_id = {host:String}`;

const ofQuery = `tenant_id = {tenant:String}
  AND ({deployment:String} = '' OR deployment_id = {deployment:String})`;

const runRecords = `
  SELECT host_id, vm_id, boot_epoch,
    anyIf(tenant_id, kind = 'added') AS tenant,
    anyIf(deployment_id, kind = 'added') AS deployment,
    minOrNullIf(at_ms, kind = 'started') AS started_ms,
    minOrNullIf(at_ms, kind = 'stopped') AS stopped_ms,
    maxIf(last_sequence, kind = 'stopped') AS end_sequence
  FROM billing.run_events`;

const runEventColumns = [
  ...runColumnNames,
  'kind',
  'at_ms',
  'vcpus',
  'memory_bytes',
  'last_sequence',
] as const;

/**
 * The store on chDB, ClickHouse in a process of its own on the given directory.
 *
 * All sums are made of integers in 128 bits, which 64-bit values cannot overflow in any number of
 * samples that fits on a disk.
 */
export class ChdbUsageStore implements UsageStore {
  readonly #process: ChdbProcess;

  private constructor(process: ChdbProcess) {
    this.#process = process;
  }

  /**
   * Opens the store, making it when the directory is empty.
   *
   * @throws IngotError unavailable when another process holds the directory, or its disk is full.
   */
  static async open(options: {
    directory: string;
    clock: Clock;
    logger: Logger;
  }): Promise<ChdbUsageStore> {
    await mkdir(options.directory, { recursive: true, mode: 0o700 });
    const process = new ChdbProcess({
      ...options,
      onOpened: async (run) => {
        for (const statement of schema) await run(statement);
      },
    });
    const store = new ChdbUsageStore(process);
    await store.ping();
    return store;
  }

  /** Rejects when the engine cannot answer. */
  async ping(): Promise<void> {
    await this.#process.query('SELECT 1');
  }

  /** The engine, for tests that look behind the port or kill it. */
  get process(): ChdbProcess {
    return this.#process;
  }

  async addRun(run: Run): Promise<void> {
    await this.#addEvent(run, 'added', {});
  }

  async setStarted(run: Run, start: RunStart): Promise<void> {
    await this.#addEvent(run, 'started', start);
  }

  async setStopped(run: Run, end: RunEnd): Promise<void> {
    await this.#addEvent(run, 'stopped', end);
  }

  async setComplete(run: Run, lastSequence: bigint): Promise<void> {
    await this.#addEvent(run, 'complete', { lastSequence });
  }

  async findRun(key: RunKey): Promise<RunRecord | undefined> {
    const [found] = await this.#read(
      runRow,
      `${runRecords}
       WHERE vm_id = {vm:String} AND boot_epoch = {epoch:UInt32} AND host_id = {host:String}
       GROUP BY host_id, vm_id, boot_epoch`,
      { vm: key.vmId, epoch: key.bootEpoch, host: key.hostId },
    );
    return found && { ...found, tail: await this.#readTail(found.run) };
  }

  async listUnfinishedRuns(): Promise<RunRecord[]> {
    const found = await this.#read(
      runRow,
      `${runRecords}
       GROUP BY host_id, vm_id, boot_epoch
       HAVING countIf(kind = 'stopped') = 0 OR countIf(kind = 'complete') = 0
         OR maxIf(last_sequence, kind = 'complete') < maxIf(last_sequence, kind = 'stopped')`,
    );
    const records: RunRecord[] = [];
    for (const record of found) {
      records.push({ ...record, tail: await this.#readTail(record.run) });
    }
    return records;
  }

  async addSamples(run: Run, samples: readonly StoredSample[]): Promise<void> {
    const owner = runValues(run);
    await this.#process.insert(
      'billing.samples',
      [...runColumnNames, ...sampleColumns, ...growthColumns],
      samples.map((sample) => [...owner, ...sampleValues(sample)]),
    );
  }

  readSamples(run: Run, first: bigint, last: bigint): Promise<Sample[]> {
    return this.#read(
      sampleRow,
      `SELECT ${sampleColumns.join(', ')} FROM billing.samples
       WHERE ${ofRun} AND sequence BETWEEN {first:UInt64} AND {last:UInt64} ORDER BY sequence`,
      { ...runParameters(run), first, last },
    );
  }

  async addGap(run: Run, gap: Gap): Promise<void> {
    await this.#process.insert(
      'billing.gaps',
      [...runColumnNames, 'from_ms', 'to_ms', 'cause'],
      [[...runValues(run), gap.fromMs, gap.toMs, gap.cause]],
    );
  }

  listRunGaps(run: Run): Promise<Gap[]> {
    return this.#read(
      gapRow,
      `SELECT from_ms, to_ms, cause FROM billing.gaps WHERE ${ofRun} ORDER BY from_ms, to_ms, cause`,
      runParameters(run),
    );
  }

  async putHeartbeat(heartbeat: Heartbeat): Promise<void> {
    await this.#process.insert(
      'billing.heartbeats',
      ['host_id', 'at_ms', 'all_known_at_ms', 'vm_ids', 'boot_epochs', 'last_sequences'],
      [
        [
          heartbeat.hostId,
          heartbeat.atMs,
          heartbeat.allKnownAtMs ?? null,
          heartbeat.runs.map((run) => run.vmId),
          heartbeat.runs.map((run) => run.bootEpoch),
          heartbeat.runs.map((run) => run.lastSequence),
        ],
      ],
    );
  }

  listHeartbeats(): Promise<Heartbeat[]> {
    return this.#read(
      heartbeatRow,
      `SELECT host_id, at_ms, all_known_at_ms, arrayZip(vm_ids, boot_epochs, last_sequences) AS runs
       FROM billing.heartbeats ORDER BY host_id, at_ms DESC LIMIT 1 BY host_id
       SETTINGS output_format_json_named_tuples_as_objects = 0`,
    );
  }

  sumUsage(query: UsageQuery): Promise<DeploymentUsage[]> {
    const sum = (column: string): string => `toString(sum(toUInt128(${column})))`;
    return this.#read(
      usageRow,
      `SELECT deployment_id,
         ${sum('used_cpu_ns')} AS cpu_ns,
         toString(sum(toUInt128(memory_bytes) * toUInt128(covers_ms))) AS memory_byte_ms,
         ${sum('covers_ms')} AS vm_ms,
         ${sum('used_disk_read_bytes')} AS disk_read_bytes,
         ${sum('used_disk_write_bytes')} AS disk_write_bytes,
         ${sum('used_net_rx_bytes')} AS net_rx_bytes,
         ${sum('used_net_tx_bytes')} AS net_tx_bytes,
         toString(count()) AS samples
       FROM billing.samples
       WHERE ${ofQuery} AND at_ms >= {from:Int64} AND at_ms < {to:Int64}
       GROUP BY deployment_id ORDER BY deployment_id`,
      queryParameters(query),
    );
  }

  listGaps(query: UsageQuery): Promise<RunGap[]> {
    return this.#read(
      runGapRow,
      `SELECT vm_id, boot_epoch, from_ms, to_ms, cause FROM billing.gaps
       WHERE ${ofQuery} AND from_ms < {to:Int64} AND to_ms >= {from:Int64}
       ORDER BY from_ms, to_ms, vm_id, boot_epoch, cause`,
      queryParameters(query),
    );
  }

  async close(): Promise<void> {
    await this.#process.stop();
  }

  async #addEvent(run: Run, kind: RunEvent, fields: Partial<RunStart & RunEnd>): Promise<void> {
    const { atMs = 0, vcpus = 0, memoryBytes = 0n, lastSequence = 0n } = fields;
    await this.#process.insert('billing.run_events', runEventColumns, [
      [...runValues(run), kind, atMs, vcpus, memoryBytes, lastSequence],
    ]);
  }

  async #readTail(run: Run): Promise<Sample | undefined> {
    const [tail] = await this.#read(
      sampleRow,
      `SELECT ${sampleColumns.join(', ')} FROM billing.samples
       WHERE ${ofRun} ORDER BY tenant_id DESC, deployment_id DESC, vm_id DESC, boot_epoch DESC,
         host_id DESC, sequence DESC LIMIT 1`,
      runParameters(run),
    );
    return tail;
  }

  async #read<S extends z.ZodType>(
    row: S,
    sql: string,
    parameters: SqlParameters = {},
  ): Promise<z.output<S>[]> {
    const rows = await this.#process.query(sql, parameters);
    return rows.map((value) => row.parse(value));
  }
}

function runValues(run: Run): (string | number)[] {
  return [run.hostId, run.vmId, run.bootEpoch, run.tenantId, run.deploymentId];
}

function runParameters(run: Run): SqlParameters {
  return {
    tenant: run.tenantId,
    deployment: run.deploymentId,
    vm: run.vmId,
    epoch: run.bootEpoch,
    host: run.hostId,
  };
}

function queryParameters(query: UsageQuery): SqlParameters {
  return {
    tenant: query.tenantId,
    deployment: query.deploymentId ?? '',
    from: BigInt(query.fromMs),
    to: BigInt(query.toMs),
  };
}
