import type { Command } from 'commander';
import type { CommandContext, ExitCode, RunCommand } from '../command.ts';
import { formatDuration } from '../output/duration.ts';
import { jsonLine } from '../output/json.ts';
import { formatTable } from '../output/table.ts';
import { type DaemonName, daemonNames } from '../system/daemons.ts';
import { askReadiness, pageUrl } from '../system/readiness.ts';
import { aliveProcess, RunState } from '../system/run-state.ts';

/** What `ingot status` tells of one daemon. */
export interface DaemonStatus {
  name: DaemonName;
  state: 'ready' | 'degraded' | 'not ready' | 'stopped';
  pid: number | null;
  uptimeMs: number | null;
  restarts: number;
  url: string;
  reasons: readonly string[];
}

export function addStatus(program: Command, run: RunCommand): void {
  program
    .command('status')
    .description('show the daemons of this host; fails unless all are ready')
    .action(run((context) => status(context)));
}

async function status(context: CommandContext): Promise<ExitCode> {
  const { dataDir } = context.settings;
  const daemons = await readStatus(context);
  const ready = daemons.every(({ state }) => state === 'ready' || state === 'degraded');
  if (context.json) {
    context.out.write(jsonLine({ ready, dataDir, daemons }));
    return ready ? 0 : 1;
  }
  const rows = daemons.map((one) => [
    one.name,
    one.state,
    one.pid === null ? '' : String(one.pid),
    one.uptimeMs === null ? '' : formatDuration(one.uptimeMs),
    String(one.restarts),
    one.url,
  ]);
  const headings = ['DAEMON', 'STATE', 'PID', 'UPTIME', 'RESTARTS', 'URL'];
  context.out.write(
    formatTable(
      headings.map((heading) => ({ heading })),
      rows,
    ),
  );
  for (const { name, reasons } of daemons) {
    for (const reason of reasons) context.out.write(`! ${name}: ${reason}\n`);
  }
  if (daemons.every(({ state }) => state === 'stopped')) {
    context.err.write(`Ingot does not run on ${dataDir}: ingot up starts it\n`);
  }
  return ready ? 0 : 1;
}

/** How every daemon of the data directory is, by its record and its /readyz. */
export async function readStatus(context: CommandContext): Promise<DaemonStatus[]> {
  const { settings, clock } = context;
  const runState = new RunState(settings.dataDir);
  const listen = { ...settings.listen, ...runState.up()?.listen };
  return Promise.all(
    daemonNames.map(async (name) => {
      const record = runState.child(name);
      const alive = aliveProcess(record);
      const found = await askReadiness(name, listen[name], settings.dataDir);
      const base = { name, restarts: record?.restarts ?? 0, url: pageUrl(name, listen[name]) };
      if (!record || !alive) {
        // Something that answers here without a record is another instance's.
        return { ...base, state: 'stopped', pid: null, uptimeMs: null, reasons: [] } as const;
      }
      const degraded = found.reasons.length > 0 ? 'degraded' : 'ready';
      return {
        ...base,
        state: found.ready ? degraded : 'not ready',
        pid: alive.pid,
        uptimeMs: Math.max(0, clock.now() - record.startedAtUnixMs),
        reasons: found.reasons,
      } as const;
    }),
  );
}
