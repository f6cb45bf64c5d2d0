// `npm test`: every test, in two passes (unit tests side by side, system tests one after the other,
// because they share the machine's network and processors), ending in one line that counts them.
//
//   node scripts/test.ts            everything
//   node scripts/test.ts unit       tests beside the code
//   node scripts/test.ts system     tests/system
//   node scripts/test.ts PATH…      these files
import { globSync } from 'node:fs';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';

const passes = {
  unit: {
    files: globSync('{packages,daemons,apps,guest,examples,scripts}/**/*.test.ts', {
      exclude: ['**/node_modules'],
    }).toSorted(),
    concurrency: 2,
    timeoutMs: 180_000,
  },
  system: {
    files: globSync('tests/**/*.test.ts').toSorted(),
    concurrency: 1,
    timeoutMs: 900_000,
  },
};

const counts = { passed: 0, failed: 0, skipped: 0 };
const failures: string[] = [];
const skips: string[] = [];

async function runPass(pass: (typeof passes)['unit']): Promise<void> {
  if (pass.files.length === 0) return;
  const stream = run({
    files: pass.files,
    concurrency: pass.concurrency,
    timeout: pass.timeoutMs,
  });
  // A suite (a file, a describe) is counted by the tests in it.
  stream.on('test:pass', (event) => {
    if (event.details.type === 'suite') return;
    if (event.skip === undefined && event.todo === undefined) counts.passed += 1;
    else {
      counts.skipped += 1;
      skips.push(`${event.name}: ${String(event.skip ?? event.todo)}`);
    }
  });
  stream.on('test:fail', (event) => {
    counts.failed += 1;
    failures.push(`${event.file ?? ''} ${event.name}`);
  });
  const report = stream.compose(spec);
  report.pipe(process.stdout, { end: false });
  await new Promise((resolve) => report.on('end', resolve));
}

const [wanted, ...more] = process.argv.slice(2);
if (wanted === undefined) {
  await runPass(passes.unit);
  await runPass(passes.system);
} else if (wanted === 'unit' || wanted === 'system') {
  await runPass(passes[wanted]);
} else {
  await runPass({ ...passes.system, files: [wanted, ...more] });
}

if (failures.length > 0) process.stdout.write(`\nfailed:\n  ${failures.join('\n  ')}\n`);
if (skips.length > 0) process.stdout.write(`\nskipped:\n  ${skips.join('\n  ')}\n`);
const ran = counts.passed + counts.failed;
process.stdout.write(
  `\n${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped\n`,
);
process.exit(counts.failed === 0 && ran > 0 ? 0 : 1);
