/**
 * How durable a table is. An insert answers when part and directory are synced, and so are merged
 * parts before the parts they replace are dropped: a power cut loses nothing acknowledged.
 */
export const durableSettings = {
  fsync_after_insert: '1',
  fsync_part_directory: '1',
  min_rows_to_fsync_after_merge: '1',
} as const;

const settings = Object.entries(durableSettings)
  .map(([name, value]) => `${name} = ${value}`)
  .join(', ');

const runColumns = `
    host_id LowCardinality(String),
    vm_id LowCardinality(String),
    boot_epoch UInt32,
    tenant_id LowCardinality(String),
    deployment_id LowCardinality(String)`;

const counter = 'UInt64 CODEC(Delta, ZSTD(1))';
const growth = 'UInt64 CODEC(T64, ZSTD(1))';

/**
 * The tables, each created when it is not there.
 *
 * `samples` is not partitioned: a partition boundary would cut an insert into several parts, of
 * which a crash could keep some. One run's samples lie together, in order, so that its last one is
 * found by key and its counters compress; a range of time is found by the index on `at_ms`.
 * No table relies on merges to be right: whatever is a duplicate is never written, or does not
 * change an answer.
 */
export const schema: readonly string[] = [
  'CREATE DATABASE IF NOT EXISTS billing',
  `CREATE TABLE IF NOT EXISTS billing.samples (${runColumns},
    sequence UInt64 CODEC(DoubleDelta, ZSTD(1)),
    at_ms Int64 CODEC(DoubleDelta, ZSTD(1)),
    covers_ms UInt32 CODEC(T64, ZSTD(1)),
    cpu_ns ${counter},
    memory_bytes ${counter},
    resident_bytes ${counter},
    disk_read_bytes ${counter},
    disk_write_bytes ${counter},
    net_rx_bytes ${counter},
    net_tx_bytes ${counter},
    used_cpu_ns ${growth},
    used_disk_read_bytes ${growth},
    used_disk_write_bytes ${growth},
    used_net_rx_bytes ${growth},
    used_net_tx_bytes ${growth},
    INDEX by_time at_ms TYPE minmax GRANULARITY 1
  ) ENGINE = MergeTree
  ORDER BY (tenant_id, deployment_id, vm_id, boot_epoch, host_id, sequence)
  SETTINGS ${settings}`,
  `CREATE TABLE IF NOT EXISTS billing.run_events (${runColumns},
    kind Enum8('added' = 1, 'started' = 2, 'stopped' = 3, 'complete' = 4),
    at_ms Int64,
    vcpus UInt32,
    memory_bytes UInt64,
    last_sequence UInt64
  ) ENGINE = MergeTree ORDER BY (vm_id, boot_epoch, host_id, kind)
  SETTINGS ${settings}`,
  `CREATE TABLE IF NOT EXISTS billing.gaps (${runColumns},
    from_ms Int64,
    to_ms Int64,
    cause String
  ) ENGINE = MergeTree ORDER BY (tenant_id, deployment_id, vm_id, boot_epoch, host_id, from_ms)
  SETTINGS ${settings}`,
  `CREATE TABLE IF NOT EXISTS billing.heartbeats (
    host_id String,
    at_ms Int64,
    all_known_at_ms Nullable(Int64),
    vm_ids Array(String),
    boot_epochs Array(UInt32),
    last_sequences Array(UInt64)
  ) ENGINE = ReplacingMergeTree(at_ms) ORDER BY host_id
  SETTINGS ${settings}`,
];

/** The columns of a run, in the order rows are written. */
export const runColumnNames = [
  'host_id',
  'vm_id',
  'boot_epoch',
  'tenant_id',
  'deployment_id',
] as const;
