import fc from 'fast-check';
import { daemons } from '../system/instance.ts';

const actions = ['deploy', 'redeploy', 'stop-start', 'remove', 'burn', 'wait'] as const;
export type Action = (typeof actions)[number];

const daemon = fc.constantFrom(...daemons);
const fault = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('kill' as const), daemon }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('freeze' as const),
      daemon,
      forMs: fc.integer({ min: 1000, max: 12_000 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('kill-two' as const),
      daemons: fc.uniqueArray(daemon, { minLength: 2, maxLength: 2 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('kill-vmm' as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('kill-store' as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('kill-up' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('registry-down' as const),
      forMs: fc.integer({ min: 1000, max: 8000 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('none' as const) }) },
);
export type Fault = typeof fault extends fc.Arbitrary<infer T> ? T : never;

const round = fc.record({
  action: fc.constantFrom(...actions),
  fault,
  /** How far into the action the fault comes. A deploy takes two to four seconds. */
  afterMs: fc.integer({ min: 0, max: 4000 }),
});
export type Round = typeof round extends fc.Arbitrary<infer T> ? T : never;

/** What is done in each round: the same for the same seed, and longer plans begin like shorter ones. */
export function drawPlan(seed: number, rounds: number): Round[] {
  return fc.sample(fc.noBias(round), { seed, numRuns: rounds });
}

/** A fault in a few words, such as "freeze metald 3100 ms". */
export function nameOf(what: Fault): string {
  switch (what.kind) {
    case 'kill':
      return `kill ${what.daemon}`;
    case 'freeze':
      return `freeze ${what.daemon} ${what.forMs} ms`;
    case 'kill-two':
      return `kill ${what.daemons.join(' and ')}`;
    case 'registry-down':
      return `registry-down ${what.forMs} ms`;
    default:
      return what.kind;
  }
}
