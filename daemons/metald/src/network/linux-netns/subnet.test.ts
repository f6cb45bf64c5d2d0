import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isIngotError } from '@ingot/daemon-kit';
import { parseResolvConf } from './nameservers.ts';
import { chooseSubnet, formatSubnet, overlap, parseSubnet, subnetsInUse } from './subnet.ts';

test('a range is parsed, and nonsense is refused by name', () => {
  assert.equal(formatSubnet(parseSubnet('10.77.0.0/16')), '10.77.0.0/16');
  for (const text of ['10.77.0.0', '10.77.0.1/16', '300.0.0.0/8', '10.0.0.0/31', '172.16.0.0/12']) {
    assert.throws(
      () => parseSubnet(text),
      (error) => isIngotError(error, 'config_invalid'),
      text,
    );
  }
});

test('a chosen range overlaps nothing the host has', () => {
  const used = subnetsInUse(
    JSON.stringify([{ dst: 'default' }, { dst: '10.64.0.0/11' }, { dst: '10.100.1.7' }]),
    JSON.stringify([{ addr_info: [{ local: '10.96.3.4', prefixlen: 24 }] }]),
  );
  assert.deepEqual(used.map(formatSubnet), ['10.64.0.0/11', '10.100.1.7/32', '10.96.3.0/24']);
  for (const id of ['00', '23', 'ffffff']) {
    const chosen = chooseSubnet(used, id);
    assert.ok(!used.some((one) => overlap(one, chosen)), formatSubnet(chosen));
  }
  assert.notDeepEqual(chooseSubnet([], '01'), chooseSubnet([], '02'));
  const small = chooseSubnet([parseSubnet('10.0.0.0/8')], '00');
  assert.equal(formatSubnet(small), '172.16.0.0/20');
});

test('name servers are those a guest can reach', () => {
  const text =
    '# x\nnameserver 127.0.0.53\nnameserver 192.0.2.1\nnameserver ::1\nnameserver 169.254.1.1\n';
  assert.deepEqual(parseResolvConf(text), ['192.0.2.1']);
});
