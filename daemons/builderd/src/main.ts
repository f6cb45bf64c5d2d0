import { runMain } from '@ingot/daemon-kit';
import { startBuilderd } from './builderd.ts';
import { settingsSchema } from './config.ts';

await runMain('builderd', (context) =>
  startBuilderd(context.settings(settingsSchema), {
    ...context,
    isRoot: process.getuid?.() === 0,
  }),
);
