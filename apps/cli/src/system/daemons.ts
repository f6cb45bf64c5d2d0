/** The five daemons, in the order of the ports that `portBase` gives them. */
export const daemonNames = ['gatewayd', 'billaged', 'builderd', 'assetmanagerd', 'metald'] as const;
export type DaemonName = (typeof daemonNames)[number];

export const defaultPort: Readonly<Record<DaemonName, number>> = {
  gatewayd: 8080,
  billaged: 8081,
  builderd: 8082,
  assetmanagerd: 8083,
  metald: 8084,
};

/** Which daemons each one calls: it gets their addresses, and starts after them. */
export const peersOf: Readonly<Record<DaemonName, readonly DaemonName[]>> = {
  billaged: [],
  assetmanagerd: [],
  builderd: ['assetmanagerd'],
  metald: ['assetmanagerd', 'billaged'],
  gatewayd: ['builderd', 'metald', 'billaged'],
};

/** Daemons of one wave start side by side, once the waves before are ready; they stop in reverse. */
export const startWaves: readonly (readonly DaemonName[])[] = [
  ['billaged', 'assetmanagerd'],
  ['builderd', 'metald'],
  ['gatewayd'],
];

/** Variables of our own environment that every daemon may see. */
const passedOn = [
  'PATH',
  'LANG',
  'LC_ALL',
  'TZ',
  'TMPDIR',
  'NODE_COMPILE_CACHE',
  'NODE_EXTRA_CA_CERTS',
  'INGOT_LOG_LEVEL',
];

/**
 * A daemon's whole environment: what it needs and nothing else; the customer's key least of all.
 * Its own INGOT_<NAME>_* variables win over the addresses worked out here.
 */
export function daemonEnvironment(
  name: DaemonName,
  options: {
    env: Readonly<Record<string, string | undefined>>;
    dataDir: string;
    configFile: string;
    listen: Readonly<Record<DaemonName, string>>;
    /** The daemon's section of the file, which wins over the addresses worked out here too. */
    section: Readonly<Record<string, unknown>>;
  },
): Record<string, string> {
  const { env, dataDir, configFile, listen, section } = options;
  const prefix = `INGOT_${name.toUpperCase()}_`;
  const result: Record<string, string> = {
    INGOT_DATA_DIR: dataDir,
    INGOT_CONFIG: configFile,
    [`${prefix}LISTEN`]: listen[name],
  };
  for (const peer of peersOf[name]) {
    if (section[`${peer}Url`] !== undefined) continue;
    result[`${prefix}${peer.toUpperCase()}_URL`] = `https://${reachable(listen[peer])}`;
  }
  for (const [key, value] of Object.entries(env)) {
    if (value !== undefined && (passedOn.includes(key) || key.startsWith(prefix))) {
      result[key] = value;
    }
  }
  return result;
}

/** What a client on this host connects to for something that listens on `listen`. */
export function reachable(listen: string): string {
  return listen.replace(/^(0\.0\.0\.0|\[::\])(?=:\d+$)/, '127.0.0.1');
}
