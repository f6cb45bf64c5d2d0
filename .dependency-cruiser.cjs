// The house's import directions, as docs/architecture.md states them. Each rule is one sentence of it.
const daemon = '^daemons/([^/]+)/';
const room = (name) => `^daemons/[^/]+/src/${name}/`;
const test = '/conformance\\.ts$|/test/';
// An adapter behind a port: daemons/<daemon>/src/<port>/<backend>/….
const backend = '^daemons/[^/]+/src/(?!rpc|actions|domain|loops)[^/]+/[^/]+/';

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    {
      name: 'no-cycle',
      comment: 'Nothing imports itself through others.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'no-daemon-imports-another',
      comment: 'Daemons know each other by contract only.',
      severity: 'error',
      from: { path: daemon },
      to: { path: '^daemons/', pathNot: '^daemons/$1/' },
    },
    {
      name: 'apps-speak-to-daemons-by-contract',
      comment: 'The command line and the page use the contracts, not the code of a daemon.',
      severity: 'error',
      from: { path: '^apps/' },
      to: { path: '^daemons/' },
    },
    {
      name: 'packages-know-no-daemon',
      comment: 'Packages are below the daemons and the apps.',
      severity: 'error',
      from: { path: '^packages/' },
      to: { path: '^(daemons|apps|tests|scripts)/' },
    },
    {
      name: 'contracts-know-nobody',
      comment: 'contracts is the lowest room.',
      severity: 'error',
      from: { path: '^packages/contracts/' },
      to: { path: '^packages/(?!contracts/)' },
    },
    {
      name: 'domain-is-pure',
      comment: 'domain/ computes: no I/O, no other room, of the kit only its errors.',
      severity: 'error',
      from: { path: room('domain'), pathNot: test },
      to: {
        path: '^(daemons|node:|fs|net|http|https|child_process)|^(node:)?(fs|net|http|https|http2|child_process|worker_threads|sqlite)',
        pathNot: [room('domain')],
      },
    },
    {
      name: 'actions-reach-down-only',
      comment: 'actions/ use domain/ and port interfaces, never rpc/, loops/ or the wiring.',
      severity: 'error',
      from: { path: room('actions'), pathNot: test },
      to: { path: '^daemons/[^/]+/src/((rpc|loops)/|(main|[a-z]+d)\\.ts$)' },
    },
    {
      name: 'nobody-imports-rpc-or-loops-but-the-wiring',
      comment: 'rpc/ and loops/ are the outermost rooms.',
      severity: 'error',
      from: {
        path: daemon,
        pathNot: [test, room('(rpc|loops)'), '^daemons/[^/]+/src/[^/]+\\.ts$'],
      },
      to: { path: '^daemons/[^/]+/src/(rpc|loops)/' },
    },
    {
      name: 'only-the-wiring-names-a-backend',
      comment: 'Ports are used through their interface; the wiring picks the backend.',
      severity: 'error',
      from: { path: '^daemons/[^/]+/src/(rpc|actions|domain|loops)/', pathNot: test },
      to: { path: backend },
    },
    {
      name: 'nobody-imports-main',
      comment: 'main.ts is run, never imported.',
      severity: 'error',
      from: {},
      to: { path: '/src/main\\.ts$', pathNot: '^apps/cli/' },
    },
    {
      name: 'testkit-is-for-tests',
      comment: 'What runs in production does not lean on test fixtures.',
      severity: 'error',
      from: {
        path: '^(daemons|apps|packages)/',
        pathNot: [test, '^packages/testkit/', '/fake/'],
      },
      to: { path: '^packages/testkit/' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    // Tests may look anywhere, and swc's walker does not know their `using` declarations.
    exclude: { path: '^packages/contracts/gen/|\\.test\\.ts$' },
    tsPreCompilationDeps: true,
    // The cruiser does not speak TypeScript 7 yet; swc reads the same imports.
    parser: 'swc',
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default'],
      extensions: ['.ts', '.js'],
    },
  },
};
