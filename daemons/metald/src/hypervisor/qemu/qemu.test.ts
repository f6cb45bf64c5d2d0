import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { testHypervisor } from '../conformance.ts';
import type { Vmm, VmmExit, VmmSpec } from '../hypervisor.ts';
import { rotate } from './console-log.ts';
import { decodeReport } from './mailbox.ts';
import { vmFiles } from './qemu-arguments.ts';
import { makeQemuBench } from './test/qemu-bench.ts';
import type { QemuBench } from './test/qemu-bench.ts';

testHypervisor('qemu', makeQemuBench);

describe('a VM under qemu', () => {
  let bench: QemuBench;
  before(async () => {
    bench = await makeQemuBench();
  });
  after(() => bench.close());

  it('runs its VMM without root, in its sandbox, as nobody’s child', async () => {
    const spec = await bench.makeSpec('serves');
    const vmm = await bench.hypervisor.launch(spec);
    const { pid } = vmm.record;
    const status = await readFile(`/proc/${pid}/status`, 'utf8');
    await vmm.kill();
    const fact = (name: string): string => new RegExp(`^${name}:\\s+(.*)$`, 'm').exec(status)![1]!;
    assert.equal(fact('Uid'), `${spec.uid}\t${spec.uid}\t${spec.uid}\t${spec.uid}`);
    assert.equal(fact('Gid'), `${spec.uid}\t${spec.uid}\t${spec.uid}\t${spec.uid}`);
    assert.equal(fact('Seccomp'), '2');
    assert.equal(fact('NoNewPrivs'), '1');
    assert.equal(fact('CapEff'), '0000000000000000');
    assert.equal(fact('CapPrm'), '0000000000000000');
    assert.notEqual(fact('PPid'), String(process.pid));
  });

  it('is found by its name while its pid file is not written yet', async () => {
    const spec = await bench.makeSpec('serves');
    const vmm = await bench.hypervisor.launch(spec);
    await rm(join(spec.dir, vmFiles.pid));
    const stray = await bench.hypervisor.findStray(spec.vmId, spec.dir);
    await vmm.kill();
    assert.deepEqual(stray, vmm.record);
  });

  it('boots with two processors', async () => {
    const spec = await bench.makeAppSpec({ args: ['guest-app', 'exit', '0'] });
    const vmm = await bench.hypervisor.launch({ ...spec, vcpus: 2 });
    await vmm.start();
    const tooLate = setTimeout(() => void vmm.kill(), 20_000);
    const exit = await vmm.exited;
    clearTimeout(tooLate);
    assert.equal(exit.appExitCode, 0);
  });

  it('gives the app what docker would', async () => {
    const started = Date.now();
    const { log, exit } = await run(bench, {
      args: ['guest-app', 'describe'],
      env: ['COLOR=red', 'A=x=y', 'COLOR=blue'],
      workingDir: '/srv/new/dir',
      user: 'web',
    });
    assert.deepEqual(exit, { appExitCode: 0, guestError: undefined });
    const lines = log.split('\n');
    for (const line of [
      'ids=101:102 102 200',
      'cwd=/srv/new/dir',
      'env:COLOR=blue',
      'env:A=x=y',
      'env:HOME=/home/web',
      'env:HOSTNAME=shop',
      'env:PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      'hostname=shop',
      '/etc/hosts: 172.30.0.2\tshop',
      '/etc/resolv.conf: nameserver 192.0.2.53',
      '/proc/self/status: CapEff:\t0000000000000000',
      '/proc/self/status: SigIgn:\t0000000000000000',
      '/proc/self/status: SigBlk:\t0000000000000000',
      'through /dev/stdout',
      'to stderr',
      'vda hidden',
      'write fails',
    ]) {
      assert.ok(lines.includes(line), `${line} is missing in:\n${log}`);
    }
    assert.ok(!lines.includes('env:COLOR=red'));
    assert.ok(lines.some((line) => line.startsWith('/proc/net/route: eth0\t00000000\t01001EAC')));
    const guestMs = Number(/^time=(.*)$/m.exec(log)![1]) * 1000;
    assert.ok(guestMs > started && guestMs < Date.now(), 'the clock is the host’s');
    // Nothing of the kernel's, and no line end rewritten.
    assert.ok(log.startsWith('ids='), log.slice(0, 200));
    assert.ok(!log.includes('\r') && !log.includes('Power down'));
  });

  it('ends with the app, whatever the app leaves running', async () => {
    const { exit } = await run(bench, { args: ['guest-app', 'kill-itself'], user: '1234:5678' });
    assert.deepEqual(exit, { appExitCode: 137, guestError: undefined });
  });

  it('ends an app that was asked to end before it ran', async () => {
    const spec = await bench.makeSpec('serves');
    const vmm = await bench.hypervisor.launch(spec);
    await vmm.start();
    await vmm.requestShutdown();
    // 7 when the app was quick enough to catch the signal.
    const { appExitCode } = await endOf(vmm);
    assert.ok(appExitCode === 143 || appExitCode === 7, `exit code ${appExitCode}`);
  });

  it('says what is wrong with the user and with the program', async () => {
    const nobody = await run(bench, { user: 'mallory' });
    assert.match(nobody.exit.guestError ?? '', /no such user: mallory/);
    assert.match(nobody.log, /ingot: no such user: mallory/);
    const data = await run(bench, { args: ['/bin/data'] });
    assert.equal(data.exit.appExitCode, 126);
    assert.match(data.exit.guestError ?? '', /no program for this CPU/);
  });
});

describe('what the guest writes is not trusted', () => {
  const report = (text: string): Buffer => Buffer.from(`INGOTRP1${text}`.padEnd(4096, '\0'));

  it('reads a report of bounded length', () => {
    assert.deepEqual(decodeReport(report('exit=7\0')), { appExitCode: 7, guestError: undefined });
    const long = decodeReport(Buffer.concat([report(`error=${'x'.repeat(4000)}`), report('y')]));
    assert.equal(long.guestError?.length, 1000);
  });

  it('takes nothing from a report that is none', () => {
    const nothing = { appExitCode: undefined, guestError: undefined };
    for (const text of ['exit=-1\0', 'exit=256\0', 'exit=1e3\0', 'exit=\0', '']) {
      assert.deepEqual(decodeReport(report(text)), nothing);
    }
    assert.deepEqual(decodeReport(Buffer.alloc(0)), nothing);
    assert.deepEqual(decodeReport(Buffer.from('INGOTRP2exit=1\0')), nothing);
    assert.equal(decodeReport(report('error=a\u001b[2Jb\0')).guestError, 'a [2Jb');
  });

  it('keeps the console file below its bound', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'ingot-console-'));
    const path = join(dir, 'console.log');
    await writeFile(path, 'x'.repeat(1000));
    await rotate(path, 1000);
    assert.equal((await stat(path)).size, 1000);
    await rotate(path, 999);
    assert.equal((await stat(path)).size, 0);
    assert.equal((await stat(`${path}.1`)).size, 1000);
    await rm(dir, { recursive: true });
  });
});

async function run(
  bench: QemuBench,
  app: Partial<VmmSpec['app']>,
): Promise<{ log: string; exit: VmmExit }> {
  const spec = await bench.makeAppSpec(app);
  const vmm = await bench.hypervisor.launch(spec);
  await vmm.start();
  const exit = await endOf(vmm);
  return { log: await readFile(bench.hypervisor.consolePath(spec.dir), 'utf8'), exit };
}

async function endOf(vmm: Vmm): Promise<VmmExit> {
  const timer = setTimeout(() => void vmm.kill(), 20_000);
  const exit = await vmm.exited;
  clearTimeout(timer);
  return exit;
}
