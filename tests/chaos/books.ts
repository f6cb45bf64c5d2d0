import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { metal } from '@ingot/contracts';
import { hostTraces } from '../system/host-traces.ts';
import { type Instance, until } from '../system/instance.ts';
import { vmms } from './faults.ts';

/** How many slots metald keeps ready for VMs to come, unless told otherwise. */
const spareSlots = 4;

/**
 * Where the books of the daemons and what is on the host differ, once what is under way has had time
 * to end: nothing, in a sound system.
 */
export async function differences(instance: Instance, hostId: string): Promise<string[]> {
  let found: string[] = [];
  try {
    await until(
      'the books to agree',
      async () => (found = await compare(instance, hostId)).length === 0,
      60_000,
    );
  } catch (error) {
    if (found.length === 0) found = [String(error)];
  }
  return found;
}

async function compare(instance: Instance, hostId: string): Promise<string[]> {
  const at = (...path: string[]): string => join(instance.dataDir, ...path);
  const { vms } = await (await instance.vms()).listVms({ pageSize: 1000 });
  const alive = vms.filter((vm) => vm.state !== metal.VmState.DELETED);
  const known = new Set(alive.map((vm) => vm.id));
  const down = [metal.VmState.STOPPED, metal.VmState.FAILED];
  const running = new Set(alive.filter((vm) => !down.includes(vm.state)).map((vm) => vm.id));
  const wanted = new Set(column(at('gatewayd/gatewayd.db'), 'SELECT id FROM vm'));
  const { namespaces } = hostTraces(hostId);
  return [
    ...both('VMs of metald', known, 'VMs of gatewayd', wanted),
    ...both('running VMs', running, 'VMMs', new Set(vmms(instance).map((vmm) => vmm.vmId))),
    ...unknown('staged files', listing(at('staging')), known),
    ...unknown('VM directory', listing(at('metald/vms')), known),
    ...unknown(
      'lease',
      column(at('assetmanagerd/registry.sqlite'), 'SELECT holder AS id FROM lease'),
      known,
    ),
    ...unknown('file in the inbox', listing(at('assetmanagerd/inbox')), new Set()),
    ...unknown('build directory', listing(at('builderd/work')), new Set()),
    ...(namespaces.length > known.size + spareSlots
      ? [`${namespaces.length} namespaces for ${known.size} VMs`]
      : []),
  ];
}

function both(a: string, ofA: Set<string>, b: string, ofB: Set<string>): string[] {
  return [
    ...[...ofA.difference(ofB)].map((id) => `${id} is in ${a} and not in ${b}`),
    ...[...ofB.difference(ofA)].map((id) => `${id} is in ${b} and not in ${a}`),
  ];
}

function unknown(what: string, found: readonly string[], known: Set<string>): string[] {
  return [...new Set(found)]
    .filter((id) => !known.has(id))
    .map((id) => `${what} ${id} in no books`);
}

function listing(directory: string): string[] {
  return existsSync(directory) ? readdirSync(directory) : [];
}

function column(path: string, sql: string): string[] {
  const database = new DatabaseSync(path, { readOnly: true });
  try {
    return database
      .prepare(sql)
      .all()
      .map((row) => String(row['id']));
  } finally {
    database.close();
  }
}
