// `npm run bench -- NAME`: one benchmark. The last line is its result as JSON.
import { existsSync, globSync } from 'node:fs';
import { basename, join } from 'node:path';

/** What a benchmark found: a figure, and how it stands against something real in the same run. */
export interface BenchmarkResult {
  name: string;
  value: number;
  unit: string;
  /** value / the same figure of what it is compared with. */
  ratio: number;
  against: string;
}

const name = process.argv[2] ?? '';
const file = join(import.meta.dirname, `${name}.ts`);
const known = globSync(join(import.meta.dirname, '*.ts'))
  .map((path) => basename(path, '.ts'))
  .filter((one) => one !== 'run');

if (!known.includes(name) || !existsSync(file)) {
  process.stderr.write(`there is no benchmark "${name}"; there are: ${known.join(', ')}\n`);
  process.exit(2);
}
const benchmark = (await import(file)) as { run: () => Promise<BenchmarkResult> };
process.stdout.write(`${JSON.stringify(await benchmark.run())}\n`);
process.exit(0);
