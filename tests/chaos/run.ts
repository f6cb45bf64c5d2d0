// `npm run chaos -- --seed S --rounds N`: faults in a running Ingot, drawn from a seed. One line a
// round; the last line is JSON with what was injected and what was lost or duplicated.
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { gateway } from '@ingot/contracts';
import { hostTraces, noTraces, processesIn } from '../system/host-traces.ts';
import { daemons, Instance } from '../system/instance.ts';
import { differences } from './books.ts';
import { Customer, type Outcome } from './customer.ts';
import { ChaosRegistry, inject, type Injected } from './faults.ts';
import { drawPlan, type Fault, nameOf, type Round } from './plan.ts';
import { type Audit, auditUsage, livesOf, wholeBill } from './usage-audit.ts';
import { VmmWatch } from './vmm-watch.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    rounds: { type: 'string', default: '12' },
    keep: { type: 'boolean', default: false },
  },
});
const seed = Number(values.seed);
const rounds = Number(values.rounds);
if (!Number.isInteger(seed) || !Number.isInteger(rounds) || rounds < 1) {
  process.stderr.write('usage: npm run chaos -- --seed INTEGER --rounds COUNT [--keep]\n');
  process.exit(2);
}

const say = (line: string): void => void process.stdout.write(`${line}\n`);
const violations: string[] = [];
const injected: Record<string, number> = {};
let injecting: Promise<unknown> = Promise.resolve();
let isInterrupted = false;
const interrupted = new Promise<void>((resolve) => {
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      isInterrupted = true;
      resolve();
    });
  }
});

const instance = await Instance.start();
const hostId = await instance.hostId();
const registry = await ChaosRegistry.start(join(instance.dataDir, 'test-registry'));
const watch = new VmmWatch(instance);
let current = '';
const complain = (what: string): void => {
  violations.push(`${current}: ${what}`);
  say(`  ✗ ${what}`);
};
const customer = new Customer(instance, registry, `${seed}`, complain);
let audit: Audit | undefined;
try {
  await Promise.race([playAll(), interrupted]);
} catch (error) {
  complain(error instanceof Error ? (error.stack ?? error.message) : String(error));
} finally {
  watch.stop();
  // What is half way, such as a daemon frozen for a while or an `up`, would come after the `down`.
  await injecting.catch(() => undefined);
  await instance.down();
  await registry.at.stop();
  const keep = values.keep || violations.length > 0;
  if (keep) say(`its data and logs are kept in ${instance.dataDir}`);
  else instance.removeData();
}
const { lost, duplicated, violations: unpaid = [], ...usage } = audit ?? {};
violations.push(...unpaid);
say(JSON.stringify({ seed, rounds, injected, ...usage, lost, duplicated, violations }));
process.exit(violations.length === 0 && !isInterrupted ? 0 : 1);

async function playAll(): Promise<void> {
  for (const [index, round] of drawPlan(seed, rounds).entries()) {
    current = `round ${index + 1}`;
    await playRound(round);
  }
  current = 'end';
  audit = await takeDown();
}

async function playRound(round: Round): Promise<void> {
  const started = performance.now();
  await customer.prepare(round.action);
  const before = await customer.settle();
  const acted = customer.act(round.action);
  await delay(round.afterMs);
  if (isInterrupted) return;
  const injection = inject(round.fault, instance, registry);
  injecting = injection;
  const done = await injection;
  const kind = done.hit ? round.fault.kind : 'missed';
  injected[kind] = (injected[kind] ?? 0) + 1;
  const outcome = await acted;
  await Promise.all(daemons.map((daemon) => instance.ready(daemon)));
  const after = await customer.settle();
  judge(round, done, outcome, before, after);
  for (const difference of await differences(instance, hostId)) complain(difference);
  const state = after ? gateway.DeploymentState[after.state] : 'gone';
  const why = after?.failure ? ` (${after.failure.step}: ${after.failure.reason})` : '';
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  say(
    `${current}: ${round.action}, ${nameOf(round.fault)} after ${round.afterMs} ms` +
      `${done.hit ? '' : ' (nothing to hit)'}: ${outcome}, then ${state}${why}, ${seconds} s`,
  );
}

/** What must have become of the deployment. */
function judge(
  round: Round,
  done: Injected,
  outcome: Outcome,
  before: gateway.Deployment | undefined,
  after: gateway.Deployment | undefined,
): void {
  const lostVm = done.killedVms.length > 0;
  const isReady = after?.state === gateway.DeploymentState.READY;
  if (round.action === 'remove' && after) complain('it is removed and still there');
  if (outcome === 'ready' && !isReady && !lostVm) complain('it was ready and is not any more');
  if (outcome === 'failed' && !lostVm && round.fault.kind !== 'registry-down') {
    complain(`it failed for no reason: ${JSON.stringify(after?.failure?.message)}`);
  }
  if (outcome === 'refused' && !takesAwayGatewayd(round.fault)) complain('gatewayd refused it');
  const undisturbed = round.action === 'burn' || round.action === 'wait';
  if (undisturbed && !lostVm && before?.vmId !== after?.vmId) {
    complain('another VM runs, for no reason');
  }
}

function takesAwayGatewayd(fault: Fault): boolean {
  return fault.kind === 'kill-up' || nameOf(fault).includes('gatewayd');
}

/** Ends everything, and looks for what was lost or counted twice, and for what is left on the host. */
async function takeDown(): Promise<Audit> {
  await customer.remove();
  for (const difference of await differences(instance, hostId)) complain(difference);
  const lives = await livesOf(instance);
  const bill = await wholeBill(instance, lives);
  const down = await instance.down();
  if (down.code !== 0) complain(`ingot down: ${down.stdout}${down.stderr}`);
  await registry.at.stop();
  await delay(300);
  for (const left of processesIn(instance.dataDir)) complain(`process ${left} is left`);
  const traces = hostTraces(hostId);
  if (JSON.stringify(traces) !== JSON.stringify(noTraces)) {
    complain(`left on the host: ${JSON.stringify(traces)}`);
  }
  return auditUsage(instance, hostId, lives, bill, watch);
}
