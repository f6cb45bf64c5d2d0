import type { ServiceImpl } from '@connectrpc/connect';
import type { metal } from '@ingot/contracts';
import { decodePageToken, encodePageToken } from '@ingot/daemon-kit';
import { z } from 'zod';
import { bootVm } from '../actions/boot-vm.ts';
import type { Context } from '../actions/context.ts';
import { createVm } from '../actions/create-vm.ts';
import { deleteVm } from '../actions/delete-vm.ts';
import { requireVm } from '../actions/require-vm.ts';
import { shutdownVm } from '../actions/shutdown-vm.ts';
import { streamConsole } from '../actions/stream-console.ts';
import { watchVms } from '../actions/watch-vms.ts';
import type { Vm } from '../domain/vm.ts';
import { specOf, vmMessage } from './vm-messages.ts';

const pagePosition = z.object({ createdAtMs: z.number(), id: z.string() });
const defaultPageSize = 100;
const defaultGraceSeconds = 10;

/** The VMs of this host. */
export function vmService(context: Context): ServiceImpl<typeof metal.VmService> {
  const message = (vm: Vm): metal.Vm => vmMessage(vm, context.metering.billingDegraded);
  return {
    createVm: async ({ vmId, spec }) =>
      message(await createVm({ id: vmId.toLowerCase(), spec: specOf(spec) }, context)),
    bootVm: async ({ vmId }) => message(await bootVm(vmId.toLowerCase(), context)),
    shutdownVm: async ({ vmId, graceSeconds }) => {
      const graceMs = (graceSeconds || defaultGraceSeconds) * 1000;
      return message(await shutdownVm({ id: vmId.toLowerCase(), graceMs }, context));
    },
    deleteVm: async ({ vmId }) => message(await deleteVm(vmId.toLowerCase(), context)),
    getVm: async ({ vmId }) => message(await requireVm(vmId.toLowerCase(), context)),
    listVms: async ({ tenantId, deploymentId, pageSize, pageToken }) => {
      const limit = pageSize || defaultPageSize;
      const after = decodePageToken(pagePosition, pageToken);
      const found = await context.store.list({ tenantId, deploymentId, after, limit: limit + 1 });
      const vms = found.slice(0, limit);
      const last = vms.at(-1);
      const nextPageToken =
        last && found.length > limit
          ? encodePageToken({ createdAtMs: last.createdAtMs, id: last.id })
          : '';
      return { vms: vms.map(message), nextPageToken };
    },
    watchVms: async function* ({ vmIds }, { signal }) {
      const ids = vmIds.map((id) => id.toLowerCase());
      for await (const vm of watchVms(ids, signal, context)) yield message(vm);
    },
    streamConsole: async function* ({ vmId, follow, tailLines }, { signal }) {
      const reading = { id: vmId.toLowerCase(), follow, tailLines, signal };
      for await (const data of streamConsole(reading, context)) yield { data };
    },
  };
}
