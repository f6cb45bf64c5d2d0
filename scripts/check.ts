// `npm run check`: every rule of the house in one command. Each line of `checks` is one tool.
import { spawnSync } from 'node:child_process';
import { delimiter, join } from 'node:path';

const root = join(import.meta.dirname, '..');
const path = [join(root, 'node_modules/.bin'), process.env['PATH']].join(delimiter);

const checks: [name: string, command: string, ...args: string[]][] = [
  ['contracts: lint', 'buf', 'lint'],
  ['contracts: format', 'buf', 'format', '--exit-code', '--diff', 'proto'],
  ['contracts: generated code is up to date', 'node', 'scripts/check-generated.ts'],
  ['types', 'tsc', '-p', '.'],
  ['lint, file and function size', 'oxlint', '--type-aware'],
  ['format', 'prettier', '--check', '--log-level', 'warn', '.'],
  [
    'import rules',
    'depcruise',
    '--config',
    '.dependency-cruiser.cjs',
    'packages',
    'daemons',
    'apps',
  ],
  ['dead code', 'knip'],
  ['house rules', 'node', 'scripts/check-house.ts'],
];

let failed = 0;
for (const [name, command, ...args] of checks) {
  const started = performance.now();
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd: root,
    env: { ...process.env, PATH: path },
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  process.stdout.write(`${status === 0 ? 'ok  ' : 'FAIL'} ${name} (${seconds} s)\n`);
  if (status !== 0) {
    failed += 1;
    process.stdout.write(`${stdout}${stderr}${error ? error.message : ''}\n`);
  }
}
process.stdout.write(failed === 0 ? 'every check passes\n' : `${failed} checks fail\n`);
process.exitCode = failed === 0 ? 0 : 1;
