import { runMain } from '@ingot/daemon-kit';
import { startAssetmanagerd } from './assetmanagerd.ts';
import { assetmanagerdSchema } from './config.ts';

await runMain('assetmanagerd', (context) =>
  startAssetmanagerd(context.settings(assetmanagerdSchema), context),
);
