import { testHypervisor } from '../conformance.ts';
import { makeQemuBench } from './testing/qemu-bench.ts';

testHypervisor('qemu', makeQemuBench);
