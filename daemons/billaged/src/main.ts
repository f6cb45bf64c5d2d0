import { runMain } from '@ingot/daemon-kit';
import { startBillaged } from './billaged.ts';
import { billagedSchema } from './config.ts';

await runMain('billaged', (context) => startBillaged(context.settings(billagedSchema), context));
