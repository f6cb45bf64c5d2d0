import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { type Timestamp, timestampFromMs } from '@bufbuild/protobuf/wkt';
import { metal } from '@ingot/contracts';
import { IngotError } from '@ingot/daemon-kit';
import { endpointOf, isGuestUp, type Vm, type VmSpec, type VmState } from '../domain/vm.ts';

const defaultReadyTimeoutSeconds = 60;

const states: Readonly<Record<VmState, metal.VmState>> = {
  created: metal.VmState.CREATED,
  booting: metal.VmState.BOOTING,
  running: metal.VmState.RUNNING,
  paused: metal.VmState.PAUSED,
  suspended: metal.VmState.SUSPENDED,
  stopping: metal.VmState.STOPPING,
  stopped: metal.VmState.STOPPED,
  failed: metal.VmState.FAILED,
  deleted: metal.VmState.DELETED,
};

/** The VM as others see it. */
export function vmMessage(vm: Vm, billingDegraded: boolean): metal.Vm {
  const { app, ...spec } = vm.spec;
  const init: MessageInitShape<typeof metal.VmSchema> = {
    id: vm.id,
    spec: { ...spec, app: { ...app, args: [...app.args], env: [...app.env] } },
    state: states[vm.state],
    endpoint: endpointOf(vm),
    bootEpoch: vm.bootEpoch,
    createdAt: timestampFromMs(vm.createdAtMs),
    billingDegraded: billingDegraded && isGuestUp(vm),
    ...time('startedAt', vm.startedAtMs),
    ...time('stoppedAt', vm.stoppedAtMs),
    ...(vm.exitCode === undefined ? {} : { exitCode: vm.exitCode }),
  };
  if (vm.failure) {
    const { reason, message, exitCode, log } = vm.failure;
    init.failure = {
      reason,
      message,
      log: [...log],
      ...(exitCode === undefined ? {} : { exitCode }),
    };
  }
  return create(metal.VmSchema, init);
}

function time<K extends string>(name: K, ms: number | undefined): Partial<Record<K, Timestamp>> {
  if (ms === undefined) return {};
  const field: Partial<Record<K, Timestamp>> = {};
  field[name] = timestampFromMs(ms);
  return field;
}

/** What was asked for, with its defaults filled in. */
export function specOf(message: metal.VmSpec | undefined): VmSpec {
  const app = message?.app;
  if (!message || !app) throw new IngotError('invalid_argument', 'a VM needs a spec with an app');
  return {
    tenantId: message.tenantId,
    deploymentId: message.deploymentId,
    hostname: message.hostname,
    vcpus: message.vcpus,
    memoryMib: message.memoryMib,
    diskMib: message.diskMib,
    rootfsAssetId: message.rootfsAssetId.toLowerCase(),
    kernelAssetId: message.kernelAssetId.toLowerCase(),
    app: {
      args: app.args,
      env: app.env,
      workingDir: app.workingDir || '/',
      user: app.user,
      port: app.port,
    },
    readyTimeoutSeconds: message.readyTimeoutSeconds || defaultReadyTimeoutSeconds,
  };
}
