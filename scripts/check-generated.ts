// Generates the contracts into a folder of its own and compares: what is committed must be what the
// proto files say.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const committed = 'packages/contracts/gen';
const fresh = mkdtempSync(join(tmpdir(), 'ingot-gen-'));
try {
  const template = join(fresh, 'buf.gen.yaml');
  const out = join(fresh, 'gen');
  writeFileSync(template, readFileSync('buf.gen.yaml', 'utf8').replace(committed, out));
  run('buf', ['generate', '--template', template]);
  run('diff', ['--recursive', '--brief', committed, out]);
} finally {
  rmSync(fresh, { recursive: true });
}

function run(command: string, args: string[]): void {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  if (status === 0) return;
  process.stdout.write(`${stdout}${stderr}\nrun \`npm run generate\` and commit ${committed}\n`);
  process.exitCode = 1;
}
