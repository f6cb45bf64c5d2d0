import { runMain } from '@ingot/daemon-kit';
import { settingsSchema } from './config.ts';
import { startMetald } from './metald.ts';
import { removeEverything } from './remove-everything.ts';

await runMain('metald', async (context) => {
  const settings = context.settings(settingsSchema);
  if (!context.args.includes('--remove-everything')) return startMetald(settings, context);
  await removeEverything(settings, context);
  // Connections to the peers are kept open for reuse; nothing is left to be said on them.
  return process.exit(0);
});
