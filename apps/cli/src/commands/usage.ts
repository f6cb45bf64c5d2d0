import { timestampMs } from '@bufbuild/protobuf/wkt';
import { type billing, gateway } from '@ingot/contracts';
import { type Command, InvalidArgumentError } from 'commander';
import { withGateway } from '../client/with-gateway.ts';
import type { CommandContext, ExitCode, RunCommand } from '../command.ts';
import { formatDuration, formatInstant } from '../output/duration.ts';
import { jsonLine, messageJson } from '../output/json.ts';
import { formatMoney } from '../output/money.ts';
import { formatTable } from '../output/table.ts';

interface UsageOptions {
  from?: Instant;
  to?: Instant;
}

/** An instant as the user wrote it; a relative one needs the clock. */
export type Instant = (nowUnixMs: number) => number;

export function addUsage(program: Command, run: RunCommand): void {
  program
    .command('usage')
    .description('what was used and what it costs')
    .argument('[name]', 'only this deployment')
    .option('--from <time>', 'such as 2026-10-01, 2026-10-01T08:00Z or 2h (ago)', parseInstant)
    .option('--to <time>', 'the end, not included (default: now)', parseInstant)
    .addHelpText('after', '\nWithout a range: from the start of this month (UTC) to now.')
    .action(
      run((context, name: string | undefined, options: UsageOptions) =>
        usage(context, name ?? '', options),
      ),
    );
}

async function usage(
  context: CommandContext,
  name: string,
  range: UsageOptions,
): Promise<ExitCode> {
  const request = { name, ...rangeOf(range, context.clock.now()) };
  const answer = await withGateway(context, (client) => client.usage.getUsage(request));
  if (context.json)
    context.out.write(jsonLine(messageJson(gateway.GetUsageResponseSchema, answer)));
  else context.out.write(usageText(answer));
  return 0;
}

/** 0 and 0 let the server take this month. */
function rangeOf(
  { from, to }: UsageOptions,
  now: number,
): { fromUnixMs: bigint; toUnixMs: bigint } {
  if (!from && !to) return { fromUnixMs: 0n, toUnixMs: 0n };
  const today = new Date(now);
  const monthStart = Date.UTC(today.getUTCFullYear(), today.getUTCMonth());
  return {
    fromUnixMs: BigInt(from?.(now) ?? monthStart),
    toUnixMs: BigInt(to?.(now) ?? now),
  };
}

const unitMs: Readonly<Record<string, number>> = {
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** "2026-10-01" (UTC), an ISO 8601 instant, "now", or how long ago: "90m", "2h", "7d". */
export function parseInstant(text: string): Instant {
  if (text === 'now') return (now) => now;
  const ago = /^(\d{1,6})([mhd])$/.exec(text);
  if (ago) return (now) => now - Number(ago[1]) * (unitMs[ago[2] ?? ''] ?? 0);
  // A date with a time but no zone would be read in this machine's zone; bills are in UTC.
  const zoned = /^\d{4}-\d{2}-\d{2}T.*\d$/.test(text) && !/[+-]\d{2}:\d{2}$/.test(text);
  const at = /^\d{4}-\d{2}(-\d{2})?(T.+)?$/.test(text)
    ? Date.parse(zoned ? `${text}Z` : text)
    : NaN;
  if (Number.isNaN(at)) {
    throw new InvalidArgumentError(
      'It must be a date, an ISO 8601 time, or how long ago (2h, 7d).',
    );
  }
  return () => at;
}

/** The whole answer for people. Quantities and costs are printed as exact as they came. */
export function usageText(answer: gateway.GetUsageResponse): string {
  const range = `${formatInstant(Number(answer.fromUnixMs))} to ${formatInstant(Number(answer.toUnixMs))}`;
  const rows = answer.deployments.flatMap(({ name, usage: used }) =>
    used ? rowsOf(name, used) : [],
  );
  const table = formatTable(
    [
      { heading: 'DEPLOYMENT' },
      { heading: 'METER' },
      { heading: 'QUANTITY', align: 'right' },
      { heading: 'UNIT' },
      { heading: 'PRICE', align: 'right' },
      { heading: 'COST', align: 'right' },
    ],
    [...rows, ['total', '', '', '', '', formatMoney(answer.totalCostNanos)]],
  );
  return [`usage from ${range}`, '', table, ...freshness(answer), ''].join('\n');
}

function rowsOf(
  name: string,
  { usage: used, lines, costNanos }: billing.DeploymentUsage,
): string[][] {
  return [
    ...lines.map((line) => [
      name,
      line.meter,
      line.quantity,
      line.unit,
      formatMoney(line.unitPriceNanos),
      formatMoney(line.costNanos),
    ]),
    [
      name,
      'sum',
      '',
      used ? `${formatDuration(Number(used.vmMs))} of microVM, ${used.samples} samples` : '',
      '',
      formatMoney(costNanos),
    ],
  ];
}

function freshness({ deployments, freshThrough, gaps }: gateway.GetUsageResponse): string[] {
  const fresh = freshThrough
    ? `fresh through ${formatInstant(timestampMs(freshThrough))}`
    : 'nothing has been measured yet';
  const late = 'usage comes once a minute, and when a microVM stops';
  return [
    deployments.length === 0 ? `${fresh}; ${late}` : fresh,
    ...gaps.map(
      ({ fromUnixMs, toUnixMs, cause, vmId }) =>
        `! not measured: ${formatInstant(Number(fromUnixMs))}, ${formatDuration(Number(toUnixMs - fromUnixMs))} of VM ${vmId} (${cause})`,
    ),
  ];
}
