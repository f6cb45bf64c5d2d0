import { X509Certificate } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isIngotError, messageOf } from '@ingot/daemon-kit/client';
import type { Command } from 'commander';
import type { CommandContext, ExitCode, RunCommand } from '../command.ts';
import { jsonLine } from '../output/json.ts';
import { type Check, checkAcceleration, checkIpForward, hostChecks, ok } from '../system/checks.ts';
import { daemonNames } from '../system/daemons.ts';
import { childNames } from '../system/instance.ts';
import { requireFree } from '../system/port-holder.ts';
import { aliveProcess, RunState } from '../system/run-state.ts';
import { readStatus } from './status.ts';

const dayMs = 86_400_000;
const expiresSoonDays = 14;
const minNodeMajor = 24;

export function addDoctor(program: Command, run: RunCommand): void {
  program
    .command('doctor')
    .description('check what Ingot needs on this host, and say what to do about what is missing')
    .action(run((context) => doctor(context)));
}

async function doctor(context: CommandContext): Promise<ExitCode> {
  const runState = new RunState(context.settings.dataDir);
  const running = aliveProcess(runState.up()) !== undefined;
  const checks = [
    checkNode(),
    ...hostChecks(context),
    checkAcceleration(),
    checkIpForward(),
    checkCertificates(context),
    ...(running ? await checkDaemons(context) : await checkPorts(context)),
    checkLeftovers(runState, running),
  ];
  const failed = checks.some(({ status }) => status === 'fail');
  if (context.json) {
    const told = checks.map(({ name, status, detail, remedy }) => ({
      name,
      status,
      detail,
      remedy,
    }));
    context.out.write(jsonLine({ ok: !failed, checks: told }));
    return failed ? 1 : 0;
  }
  for (const { name, status, detail, remedy } of checks) {
    const sign = { ok: '✓', warn: '!', fail: '✗' }[status];
    context.out.write(`${sign} ${status.padEnd(4)}  ${name}: ${detail}\n`);
    if (remedy) context.out.write(`          → ${remedy}\n`);
  }
  return failed ? 1 : 0;
}

function checkNode(): Check {
  const { node } = process.versions;
  if (Number.parseInt(node, 10) >= minNodeMajor) return ok('node', `Node.js ${node}`);
  return {
    name: 'node',
    status: 'fail',
    detail: `Node.js ${node} is too old for the daemons`,
    remedy: 'run scripts/setup, which installs Node.js 24 into the checkout, and use ./ingot',
  };
}

function checkCertificates({ settings, clock }: CommandContext): Check {
  const name = 'certificates';
  const dir = join(settings.dataDir, 'pki');
  if (!existsSync(dir)) return ok(name, '`ingot up` makes them');
  try {
    const days = daemonNames.map((daemon) => {
      const pem = readFileSync(join(dir, daemon, 'certificate.pem'));
      return (Date.parse(new X509Certificate(pem).validTo) - clock.now()) / dayMs;
    });
    const left = Math.floor(Math.min(...days));
    if (left >= expiresSoonDays) return ok(name, `valid for ${left} more days`);
    return {
      name,
      status: left < 0 ? 'fail' : 'warn',
      detail: left < 0 ? 'they have run out' : `they run out in ${left} days`,
      remedy: 'ingot down, then ingot up: it makes new ones',
    };
  } catch (error) {
    return {
      name,
      status: 'fail',
      detail: `they cannot be read: ${messageOf(error)}`,
      remedy: `ingot down, remove ${dir}, then ingot up: it makes new ones`,
    };
  }
}

async function checkDaemons(context: CommandContext): Promise<Check[]> {
  const daemons = await readStatus(context);
  return daemons.map(({ name, state, reasons, url }) => {
    if (state === 'ready') return ok(name, `ready at ${url}`);
    return {
      name,
      status: state === 'degraded' ? 'warn' : 'fail',
      detail: [state, ...reasons].join('; '),
      remedy: `read ${join(context.settings.dataDir, 'logs', `${name}.log`)}`,
    };
  });
}

async function checkPorts({ settings }: CommandContext): Promise<Check[]> {
  return Promise.all(
    daemonNames.map(async (daemon): Promise<Check> => {
      const name = `port of ${daemon}`;
      const listen = settings.listen[daemon];
      const setting = `INGOT_${daemon.toUpperCase()}_LISTEN or ${daemon}.listen in ingot.yaml; INGOT_PORT_BASE moves all`;
      try {
        await requireFree(listen, daemon, setting);
        return ok(name, `${listen} is free`);
      } catch (error) {
        if (!isIngotError(error)) throw error;
        return { name, status: 'fail', detail: error.message, remedy: error.remedy };
      }
    }),
  );
}

function checkLeftovers(runState: RunState, running: boolean): Check {
  const name = 'leftovers';
  if (running) return ok(name, 'Ingot runs');
  const left = childNames.filter((child) => aliveProcess(runState.child(child)));
  if (left.length === 0) return ok(name, 'nothing is left of an earlier instance');
  return {
    name,
    status: 'warn',
    detail: `${left.join(', ')} still run though their \`ingot up\` is gone`,
    remedy: 'ingot down ends them and every microVM; ingot up takes over',
  };
}
