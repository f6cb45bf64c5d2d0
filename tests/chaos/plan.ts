import fc from 'fast-check';
import { daemons } from '../system/instance.ts';

/** About how long each action takes: the fault comes somewhere in it, or a little later. */
const takesMs = {
  deploy: 3500,
  redeploy: 2500,
  'stop-start': 3500,
  remove: 1200,
  burn: 5000,
  wait: 5000,
} as const;
export type Action = keyof typeof takesMs;
const actions = Object.keys(takesMs) as Action[];

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
  // With metald down, so that nobody is there to see its end.
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('kill-vmm-unseen' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('freeze-vmm' as const),
      forMs: fc.integer({ min: 500, max: 6000 }),
    }),
  },
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

const round = fc
  .record({
    action: fc.constantFrom(...actions),
    fault,
    moment: fc.integer({ min: 0, max: 120 }),
  })
  .map(({ action, fault: what, moment }) => ({
    action,
    fault: what,
    afterMs: Math.round((takesMs[action] * moment) / 100),
  }));
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
    case 'freeze-vmm':
    case 'registry-down':
      return `${what.kind} ${what.forMs} ms`;
    default:
      return what.kind;
  }
}
