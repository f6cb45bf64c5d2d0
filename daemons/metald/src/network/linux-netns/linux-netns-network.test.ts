import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { after, test } from 'node:test';
import { createLogger } from '@ingot/daemon-kit';
import { testNetwork } from '../conformance.ts';
import type { NetworkSlot } from '../network.ts';
import { LinuxNetnsNetwork } from './linux-netns-network.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root';
const logger = createLogger({ name: 'test', level: 'silent' });
const stateDir = mkdtempSync('/tmp/ingot-net-');
after(() => rmSync(stateDir, { recursive: true, force: true }));

function open(): {
  network: LinuxNetnsNetwork;
  again: () => LinuxNetnsNetwork;
  instanceId: string;
} {
  const instanceId = randomBytes(3).toString('hex');
  const make = (): LinuxNetnsNetwork =>
    new LinuxNetnsNetwork(
      {
        instanceId,
        stateDir: `${stateDir}/${instanceId}`,
        capacity: 3,
        spare: 1,
        uidBase: 70_000,
        nameservers: ['192.0.2.53'],
      },
      logger,
    );
  return { network: make(), again: make, instanceId };
}

testNetwork('namespaces', open, { skip });

const run = (file: string, ...args: string[]): string =>
  execFileSync(file, args, { encoding: 'utf8' });

const subnetOf = (instanceId: string): string =>
  readFileSync(`${stateDir}/${instanceId}/subnet`, 'utf8').trim();

const traces = (instanceId: string): string[] =>
  [
    run('ip', 'netns', 'list'),
    run('ip', '-brief', 'link'),
    run('nft', 'list', 'tables'),
    run('ip', 'route'),
  ]
    .join('\n')
    .split('\n')
    .filter(
      (line) => line.includes(instanceId) || line.startsWith(`unreachable ${subnetOf(instanceId)}`),
    );

/** Lets a process stand in for the guest: its address on a veth whose other end is bridged with the tap's side. */
function putGuest(slot: NetworkSlot): void {
  const inside = (...args: string[]): string => run('ip', '-n', slot.netns, ...args);
  const guest = `${slot.netns}-g`;
  run('ip', 'netns', 'add', guest);
  // The tap is renamed away and a veth takes its name: the rules under test stay as they are.
  inside('link', 'set', slot.tap, 'down');
  inside('link', 'set', slot.tap, 'name', 'aside0');
  inside('address', 'flush', 'dev', 'aside0');
  inside(
    'link',
    'add',
    slot.tap,
    'type',
    'veth',
    'peer',
    'name',
    'eth0',
    'address',
    slot.guestMac,
    'netns',
    guest,
  );
  inside('address', 'add', `${slot.gateway}/30`, 'dev', slot.tap);
  inside('link', 'set', slot.tap, 'up');
  run('ip', '-n', guest, 'link', 'set', 'lo', 'up');
  run('ip', '-n', guest, 'link', 'set', 'eth0', 'up');
  run('ip', '-n', guest, 'address', 'add', `${slot.guestAddress}/30`, 'dev', 'eth0');
  run('ip', '-n', guest, 'route', 'add', 'default', 'via', slot.gateway);
}

const children: ChildProcess[] = [];
const sayWho = `require('net').createServer((c)=>c.end(c.remoteAddress)).listen(Number(process.argv[1]),'0.0.0.0',()=>console.log('up'))`;

async function serve(netns: string, port: number): Promise<void> {
  const child = spawn('ip', ['netns', 'exec', netns, process.execPath, '-e', sayWho, String(port)]);
  children.push(child);
  await new Promise((resolve) => child.stdout.once('data', resolve));
}

function call(host: string, port: number): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    const socket = connect({ host, port, timeout: 1_500 });
    socket.on('data', (chunk) => (text += chunk.toString()));
    socket.on('close', () => resolve(text));
    socket.on('timeout', () => socket.destroy());
    socket.on('error', () => undefined);
  });
}

const callFrom = (netns: string, host: string, port: number, ...more: string[]): string => {
  const script = `const s=require('net').connect({host:process.argv[1],port:Number(process.argv[2]),timeout:1500,localAddress:process.argv[3]});s.pipe(process.stdout);s.on('timeout',()=>process.exit(0));s.on('error',()=>process.exit(0))`;
  return run(
    'ip',
    'netns',
    'exec',
    netns,
    process.execPath,
    '-e',
    script,
    host,
    String(port),
    ...more,
  );
};

/** One datagram to each of 20,000 ports. */
const flood = `const s=require('dgram').createSocket('udp4');let left=20000;
for(let p=10000;p<30000;p++)s.send('x',p,process.argv[1],()=>{if(--left===0)s.close()})`;

/** On the host, over all instances. */
const connectionsTracked = (): number =>
  Number(readFileSync('/proc/sys/net/netfilter/nf_conntrack_count', 'utf8'));

test(
  'what a guest can reach, what reaches it, and that nothing of it stays',
  { skip },
  async () => {
    const { network, instanceId } = open();
    const outside = `out-${instanceId}`;
    const guests: string[] = [];
    try {
      await network.start(new Map());
      const a = await network.take('a');
      const b = await network.take('b');
      const traffic = (): string =>
        readFileSync(`/sys/class/net/${a.vethName}/statistics/tx_bytes`, 'utf8').trim();
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      assert.equal(traffic(), '0', 'the host itself sends nothing that would be billed');
      for (const slot of [a, b]) {
        putGuest(slot);
        guests.push(`${slot.netns}-g`);
        await serve(`${slot.netns}-g`, 8080);
      }
      const [guestA = '', guestB = ''] = guests;
      run('ip', 'netns', 'add', outside);
      run(
        'ip',
        'link',
        'add',
        `o${instanceId}`,
        'type',
        'veth',
        'peer',
        'name',
        'eth0',
        'netns',
        outside,
      );
      run('ip', 'address', 'add', '198.51.100.1/24', 'dev', `o${instanceId}`);
      run('ip', 'link', 'set', `o${instanceId}`, 'up');
      run('ip', '-n', outside, 'address', 'add', '198.51.100.2/24', 'dev', 'eth0');
      run('ip', '-n', outside, 'address', 'add', '169.254.169.254/32', 'dev', 'eth0');
      run('ip', '-n', outside, 'link', 'set', 'eth0', 'up');
      run('ip', '-n', outside, 'route', 'add', 'default', 'via', '198.51.100.1');
      run('ip', 'route', 'add', '169.254.169.254', 'via', '198.51.100.2');
      await serve(outside, 8080);
      const host = spawn(process.execPath, ['-e', sayWho, '18099']);
      children.push(host);
      await new Promise((resolve) => host.stdout.once('data', resolve));

      assert.notEqual(await call(a.hostAddress, 8080), '', 'the host reaches the guest');
      assert.equal(callFrom(guestA, '198.51.100.2', 8080), '198.51.100.1', 'NAT out');
      assert.equal(callFrom(guestA, b.hostAddress, 8080), '', 'no way to another VM');
      assert.equal(callFrom(guestB, a.hostAddress, 8080), '', 'nor back');
      assert.equal(callFrom(guestA, a.gateway, 18099), '', 'nothing listens on the gateway');
      const hostSide =
        run('ip', '-4', '-o', 'address', 'show', 'dev', a.vethName).match(/inet ([\d.]+)/)?.[1] ??
        '';
      for (const address of [hostSide, '198.51.100.1']) {
        assert.notEqual(await call(address, 18099), '', 'the host does listen');
        assert.equal(callFrom(guestA, address, 18099), '', 'no way to the host itself');
      }
      assert.equal(callFrom(outside, a.hostAddress, 8080), '', 'no way in from outside');
      assert.notEqual(await call('169.254.169.254', 8080), '', 'the metadata service is there');
      assert.equal(callFrom(guestA, '169.254.169.254', 8080), '', 'but not for a VM');
      const before = connectionsTracked();
      run('ip', 'netns', 'exec', guestA, process.execPath, '-e', flood, '198.51.100.2');
      assert.ok(connectionsTracked() - before < 5_000, 'a flood leaves room for the others');
      run('ip', '-n', guestA, 'address', 'add', '203.0.113.9/32', 'dev', 'eth0');
      assert.equal(callFrom(guestA, '198.51.100.2', 8080, '203.0.113.9'), '', 'no false source');
      assert.match(
        run('ip', '-n', a.netns, '-d', 'link', 'show', 'aside0'),
        /tun type tap.*user \d+/,
      );

      for (const child of children.splice(0)) child.kill('SIGKILL');
      await network.release('a');
      assert.ok(
        !run('ip', '-brief', 'link').includes(`${a.vethName}@`),
        'a release leaves no link',
      );
      assert.ok(
        !run('ip', 'netns', 'list')
          .split('\n')
          .some((line) => line.startsWith(`${a.netns} `) || line === a.netns),
      );
    } finally {
      for (const child of children.splice(0)) child.kill('SIGKILL');
      for (const netns of [...guests, outside]) run('ip', 'netns', 'delete', netns);
      await network.removeAll();
    }
    assert.deepEqual(
      traces(instanceId).filter((line) => !line.includes(`o${instanceId}`)),
      [],
    );
  },
);
