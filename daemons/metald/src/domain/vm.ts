import { IngotError } from '@ingot/daemon-kit';

export type VmState =
  | 'created'
  | 'booting'
  | 'running'
  | 'paused'
  | 'suspended'
  | 'stopping'
  | 'stopped'
  | 'failed'
  | 'deleted';

/** What the caller asked for, never changed afterwards. */
export interface VmSpec {
  readonly tenantId: string;
  readonly deploymentId: string;
  readonly hostname: string;
  readonly vcpus: number;
  readonly memoryMib: number;
  readonly diskMib: number;
  readonly rootfsAssetId: string;
  /** "" takes the default kernel. */
  readonly kernelAssetId: string;
  readonly app: {
    readonly args: readonly string[];
    readonly env: readonly string[];
    readonly workingDir: string;
    readonly user: string;
    readonly port: number;
  };
  readonly readyTimeoutSeconds: number;
}

export interface VmFailure {
  readonly reason: 'app_exited' | 'vmm_crashed' | 'not_ready' | 'boot_failed';
  readonly message: string;
  readonly exitCode?: number | undefined;
  /** Oldest first. */
  readonly log: readonly string[];
}

/** What one VM has leased. The VM's id is the holder. */
export interface VmAssets {
  readonly rootfsId: string;
  readonly kernelId: string;
  readonly initrdId: string;
  readonly leaseIds: readonly string[];
}

/**
 * One VM as it is on disk. A field that says "intended" is written before the step it speaks of,
 * the others right after.
 */
export interface Vm {
  readonly id: string;
  readonly spec: VmSpec;
  readonly state: VmState;
  /**
   * What was begun and has not ended: found at a restart, `create` is taken back, `boot` of a
   * BOOTING VM and `delete` are completed. A VM in `create` is not shown to anybody.
   */
  readonly intent?: 'create' | 'boot' | 'delete' | undefined;
  /** Boots so far, including the one intended. */
  readonly bootEpoch: number;
  readonly assets?: VmAssets | undefined;
  /** Intended: assetmanagerd may hold leases and files for this VM. */
  readonly assetsHeld: boolean;
  readonly slot?:
    { readonly index: number; readonly hostAddress: string; readonly vethName: string } | undefined;
  /** The VMM: the pid and its start time, which tells a reused pid apart. */
  readonly process?: { readonly pid: number; readonly startTimeTicks: number } | undefined;
  readonly createdAtMs: number;
  /** When this boot began, exactly as metering was told. */
  readonly startedAtMs?: number | undefined;
  /** When the last boot ended, exactly as metering is told. */
  readonly stoppedAtMs?: number | undefined;
  /** Intended: metering may know a run of this boot epoch that it was not told the end of. */
  readonly runOpen: boolean;
  /** While STOPPING: when the guest is ended if it has not ended itself. */
  readonly stopDeadlineMs?: number | undefined;
  readonly deletedAtMs?: number | undefined;
  readonly exitCode?: number | undefined;
  readonly failure?: VmFailure | undefined;
}

/** Where each state may lead. FAILED is an end: what failed is deleted and made anew. */
const next: Readonly<Record<VmState, readonly VmState[]>> = {
  created: ['booting', 'failed', 'deleted'],
  booting: ['running', 'failed', 'deleted'],
  running: ['paused', 'suspended', 'stopping', 'failed', 'deleted'],
  paused: ['running', 'failed', 'deleted'],
  suspended: ['running', 'failed', 'deleted'],
  stopping: ['stopped', 'failed', 'deleted'],
  stopped: ['booting', 'failed', 'deleted'],
  failed: ['deleted'],
  deleted: [],
};

/** States in which the guest has executed something and its VMM should be alive: these are metered. */
const running: ReadonlySet<VmState> = new Set(['booting', 'running', 'paused', 'stopping']);

/** Whether the VM's guest runs, as far as its state tells. */
export function isGuestUp(vm: Vm): boolean {
  return running.has(vm.state);
}

/** Whether a VMM process should be alive for the VM, as far as its state tells. */
export function hasVmm(vm: Vm): boolean {
  return vm.state === 'created' || isGuestUp(vm);
}

/** Whether anybody outside may see the VM: not before its creation is whole. */
export function isVisible(vm: Vm): boolean {
  return vm.intent !== 'create';
}

/** @throws IngotError illegal_state naming the state, when the VM may not go there. */
export function checkMove(vm: Vm, to: VmState): void {
  if (next[vm.state].includes(to)) return;
  throw new IngotError(
    'illegal_state',
    `VM ${vm.id} is ${vm.state.toUpperCase()} and cannot become ${to.toUpperCase()}`,
    {
      remedy:
        next[vm.state].length === 0
          ? 'create a VM with another id'
          : `from ${vm.state.toUpperCase()} it can become ${next[vm.state].join(', ').toUpperCase()}`,
      facts: { vmId: vm.id, state: vm.state.toUpperCase() },
    },
  );
}

/** The VM in its next state. @throws IngotError illegal_state */
export function moveTo(vm: Vm, to: VmState, changes: Partial<Vm> = {}): Vm {
  checkMove(vm, to);
  return { ...vm, ...changes, state: to };
}

/** Whether two specs ask for the same VM. Both were made by the same code, so key order is the same. */
export function isSameSpec(a: VmSpec, b: VmSpec): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** Where the app answers, "" before there is a network slot. */
export function endpointOf(vm: Vm): string {
  return vm.slot ? `${vm.slot.hostAddress}:${vm.spec.app.port}` : '';
}
