import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runOf, sampleOf } from '../usage-store/conformance.ts';
import { maxCatchUpMs } from './acceptance.ts';
import { freshThrough } from './freshness.ts';
import { findLateRuns } from './lateness.ts';
import type { Heartbeat, RunRecord } from './run.ts';

const now = 2_000_000;

function record(fields: Partial<RunRecord> = {}): RunRecord {
  return { run: runOf(), startedAtMs: 900_000, stopped: undefined, tail: undefined, ...fields };
}

function beat(fields: Partial<Heartbeat> = {}): Heartbeat {
  return { hostId: 'host-1', atMs: 1_900_000, allKnownAtMs: 1_900_000, runs: [], ...fields };
}

function progress(lastSequence: bigint): Heartbeat['runs'] {
  return [{ vmId: runOf().vmId, bootEpoch: 1, lastSequence }];
}

test('an open run is fresh through its last stored sample, or its start', () => {
  assert.equal(freshThrough([record()], [beat()], now), 900_000);
  assert.equal(freshThrough([record({ tail: sampleOf(9) })], [beat()], now), 1_000_900);
});

test('a heartbeat that names nothing newer makes a run fresh through the heartbeat', () => {
  const run = record({ tail: sampleOf(9) });
  assert.equal(freshThrough([run], [beat({ runs: progress(9n) })], now), 1_900_000);
  assert.equal(freshThrough([run], [beat({ runs: progress(10n) })], now), 1_000_900);
});

test('a stopped run holds back until its last sample is here', () => {
  const tail = sampleOf(9);
  const stopped = record({ tail, stopped: { atMs: 1_500_000, lastSequence: 10n } });
  assert.equal(freshThrough([stopped], [beat()], now), 1_000_900);
  const complete = record({ tail, stopped: { atMs: 1_500_000, lastSequence: 9n } });
  assert.equal(freshThrough([complete], [beat()], now), 1_900_000);
});

test('a host with a run nobody told us of holds everybody back', () => {
  const other = beat({ hostId: 'host-2', allKnownAtMs: 1_200_000 });
  assert.equal(freshThrough([], [beat(), other], now), 1_200_000);
  assert.equal(freshThrough([], [beat(), { ...other, allKnownAtMs: undefined }], now), undefined);
});

test('who has been silent for longer than a batch may be old holds nothing back', () => {
  const later = now + maxCatchUpMs;
  const fresh = beat({ atMs: later, allKnownAtMs: later });
  const gone = beat({ hostId: 'host-2' });
  assert.equal(freshThrough([record({ tail: sampleOf(1) })], [fresh, gone], later), later);
});

test('nothing known is nothing said', () => {
  assert.equal(freshThrough([], [], now), undefined);
});

test('a run is late when its host has samples that do not come, or is silent itself', () => {
  const run = record({ tail: sampleOf(9) });
  const causes = (heartbeats: Heartbeat[], nowMs: number) =>
    findLateRuns([run], heartbeats, nowMs).map(({ cause }) => cause);
  const soon = beat({ atMs: 1_060_000, runs: progress(600n) });
  assert.deepEqual(causes([soon], 1_061_000), []);
  const later = beat({ atMs: 1_130_000, runs: progress(1200n) });
  assert.deepEqual(causes([later], 1_131_000), ['not_sent']);
  assert.deepEqual(causes([{ ...later, runs: progress(9n) }], 1_131_000), []);
  assert.deepEqual(causes([{ ...later, runs: [] }], 1_131_000), ['not_listed']);
  assert.deepEqual(causes([later], 1_260_000), ['host_silent']);
  assert.deepEqual(causes([], now), ['host_silent']);
});
