import { testUsageStore } from '../conformance.ts';
import { MemoryUsageStore } from './memory-usage-store.ts';

testUsageStore('memory', async () => new MemoryUsageStore());
