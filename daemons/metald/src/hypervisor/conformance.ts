import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { isIngotError } from '@ingot/daemon-kit';
import type { Hypervisor, Vmm, VmmExit, VmmSpec } from './hypervisor.ts';

/** What the app of a test VM does. */
export type AppBehaviour =
  /** Prints "ready", runs until SIGTERM, then exits with 7. */
  | 'serves'
  /** Prints "bye" and exits with 3. */
  | 'exits'
  /** Names a command the image does not have. */
  | 'is-missing'
  /** The VMM itself cannot start: its root file system is not there. */
  | 'has-no-rootfs';

/** How the suite gets at one backend. */
export interface HypervisorBench {
  hypervisor: Hypervisor;
  /** The same backend as a metald started again would make it. */
  restarted(): Hypervisor;
  /** A VM of its own, in a directory of its own. */
  makeSpec(behaviour: AppBehaviour): Promise<VmmSpec>;
  close(): Promise<void>;
}

/** What every backend of the Hypervisor port must do. */
export function testHypervisor(name: string, makeBench: () => Promise<HypervisorBench>): void {
  describe(`hypervisor ${name}`, () => {
    let bench: HypervisorBench;
    before(async () => {
      bench = await makeBench();
    });
    after(() => bench.close());

    it('says what it is', async () => {
      const probe = await bench.hypervisor.probe();
      assert.ok(probe.name !== '' && probe.version !== '');
      assert.deepEqual(await bench.hypervisor.probe(), probe);
    });

    it('holds the guest until started, and is found and taken up after a restart', async () => {
      const spec = await bench.makeSpec('serves');
      const vmm = await bench.hypervisor.launch(spec);
      assert.equal(vmm.record.vmId, spec.vmId);
      await delay(200);
      assert.equal(await readConsole(bench, spec), '');
      assert.deepEqual(await bench.hypervisor.findStray(spec.vmId, spec.dir), vmm.record);
      await assert.rejects(bench.hypervisor.launch(spec), (e) => isIngotError(e, 'illegal_state'));
      await vmm.start();
      await vmm.start();
      await seen(bench, spec, 'ready');
      await vmm.detach();

      const again = bench.restarted();
      assert.equal(await again.recover({ ...vmm.record, startTimeTicks: 1 }), undefined);
      const recovered = await again.recover(vmm.record);
      assert.ok(recovered);
      await recovered.requestShutdown();
      assert.deepEqual(await endOf(recovered), { appExitCode: 7, guestError: undefined });
      assert.equal(await again.recover(vmm.record), undefined);
      assert.equal(await again.findStray(spec.vmId, spec.dir), undefined);
    });

    it('reports how the app ended, and keeps its log', async () => {
      const spec = await bench.makeSpec('exits');
      const exit = await run(bench, spec);
      assert.deepEqual(exit, { appExitCode: 3, guestError: undefined });
      assert.deepEqual(await bench.restarted().readExit(spec.dir), exit);
      assert.match(await readConsole(bench, spec), /bye/);
    });

    it('reports why an app could not run', async () => {
      const spec = await bench.makeSpec('is-missing');
      const exit = await run(bench, spec);
      assert.equal(exit.appExitCode, 127);
      assert.match(exit.guestError ?? '', /not found/);
    });

    it('ends a VMM at once, with nothing reported', async () => {
      const spec = await bench.makeSpec('serves');
      const vmm = await bench.hypervisor.launch(spec);
      await vmm.kill();
      await vmm.kill();
      assert.deepEqual(await endOf(vmm), { appExitCode: undefined, guestError: undefined });
      assert.equal(await bench.hypervisor.findStray(spec.vmId, spec.dir), undefined);
    });

    it('says why a VMM could not start, and leaves none behind', async () => {
      const spec = await bench.makeSpec('has-no-rootfs');
      await assert.rejects(bench.hypervisor.launch(spec), (e) => isIngotError(e, 'boot_failed'));
      assert.equal(await bench.hypervisor.findStray(spec.vmId, spec.dir), undefined);
    });
  });
}

async function run(bench: HypervisorBench, spec: VmmSpec): Promise<VmmExit> {
  const vmm = await bench.hypervisor.launch(spec);
  await vmm.start();
  return endOf(vmm);
}

/** How the VMM ended; one that does not end within 20 s is killed and fails the test. */
async function endOf(vmm: Vmm): Promise<VmmExit> {
  const tooLate = new AbortController();
  const timeout = delay(20_000, undefined, { signal: tooLate.signal }).then(async () => {
    await vmm.kill();
    throw new Error('the VMM did not end');
  });
  // Aborted when the VMM ends in time.
  timeout.catch(() => undefined);
  const exit = await Promise.race([vmm.exited, timeout]);
  tooLate.abort();
  return exit;
}

async function readConsole(bench: HypervisorBench, spec: VmmSpec): Promise<string> {
  return readFile(bench.hypervisor.consolePath(spec.dir), 'utf8').catch(() => '');
}

async function seen(bench: HypervisorBench, spec: VmmSpec, text: string): Promise<void> {
  for (let waited = 0; waited < 20_000; waited += 20) {
    if ((await readConsole(bench, spec)).includes(text)) return;
    await delay(20);
  }
  assert.fail(`"${text}" never came: ${await readConsole(bench, spec)}`);
}
