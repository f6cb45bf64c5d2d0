import { runMain } from '@ingot/daemon-kit';
import { settingsSchema } from './config.ts';
import { startGatewayd } from './gatewayd.ts';

await runMain('gatewayd', (context) => startGatewayd(context.settings(settingsSchema), context));
