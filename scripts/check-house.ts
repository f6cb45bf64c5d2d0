// Rules of the house that no other tool knows: what each daemon has, how files are named, and which
// globals stay at the edge.
import { existsSync, globSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';

const problems: string[] = [];
const daemons = ['assetmanagerd', 'billaged', 'builderd', 'gatewayd', 'metald'];

for (const daemon of daemons) {
  const files = ['README.md', 'src/main.ts', 'src/config.ts', `src/${daemon}.ts`];
  for (const file of [...files, 'src/rpc', 'src/actions', 'src/domain']) {
    if (!existsSync(`daemons/${daemon}/${file}`)) problems.push(`daemons/${daemon} has no ${file}`);
  }
}

/** Names that say nothing about what is inside. */
const vague = /^(utils?|helpers?|common|misc|shared|.*-manager)(\.|$)/;
/** What comes in through a constructor, and where it may be named. */
const edge = [
  { use: /\bDate\.now\(|\bnew Date\(\)/, at: /daemon-kit\/src\/(clock|pki)\.ts$/ },
  { use: /\bMath\.random\b/, at: /daemon-kit\/src\/clock\.ts$/ },
  { use: /\bprocess\.(env|argv|exit|on)\b/, at: /src\/(main|run-main)\.ts$|chdb-child/ },
];

const sources = globSync('{packages,daemons}/*/src/**/*.ts');
for (const file of [...sources, ...globSync('apps/*/src/**/*.ts')]) {
  const name = basename(file);
  if (vague.test(name)) problems.push(`${file}: the name says nothing about what is inside`);
  if (!/^[a-z0-9]+(-[a-z0-9]+)*(\.test)?\.ts$/.test(name)) problems.push(`${file}: not kebab-case`);
}
for (const file of sources.filter((path) => !/\.test\.ts$|testkit|\/test\//.test(path))) {
  const code = readFileSync(file, 'utf8');
  for (const { use, at } of edge) {
    const found = use.exec(code)?.[0];
    if (found && !at.test(file)) problems.push(`${file}: ${found} belongs at the edge`);
  }
}

for (const problem of problems) process.stdout.write(`${problem}\n`);
process.exitCode = problems.length === 0 ? 0 : 1;
