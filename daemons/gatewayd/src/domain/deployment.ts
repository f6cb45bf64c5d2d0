/** What a customer asked for, defaults filled in. */
export interface Spec {
  name: string;
  image: string;
  /** "KEY=value". */
  env: string[];
  vcpus: number;
  memoryMib: number;
  /** 0 until the image is known and says it. */
  port: number;
}

export type FailedStep = 'build' | 'create' | 'boot' | 'health' | 'run';

export interface Failure {
  step: FailedStep;
  /** From the closed set of daemon-kit's errors, or metald's. */
  reason: string;
  message: string;
  remedy: string;
  exitCode?: number | undefined;
  /** Oldest first. */
  log: string[];
}

/** What the image says about how to run it. */
export interface ImageConfig {
  entrypoint: string[];
  cmd: string[];
  env: string[];
  workingDir: string;
  user: string;
  exposedPorts: number[];
}

export type Desired = 'running' | 'stopped' | 'deleted';

/**
 * Where a rollout is. `cancelled` is one that a newer wish overtook. A rollout that was `ready`
 * stays so in the books; whether it serves is the deployment's `servingRollout`.
 */
export type Phase =
  'pending' | 'building' | 'creating' | 'booting' | 'ready' | 'failed' | 'cancelled';

/** One try to bring a revision up: by a deploy (a new revision) or by a start (the same one). */
export interface Rollout {
  id: string;
  deploymentId: string;
  revision: number;
  spec: Spec;
  phase: Phase;
  idempotencyKey: string | undefined;
  /** Unix ms after which a try that still goes on has failed. */
  deadlineAt: number;
  buildId: string;
  resolvedImage: string;
  rootfsAssetId: string;
  imageConfig: ImageConfig | undefined;
  /** Lines of the build's log that are in the events already. */
  buildLines: number;
  vmId: string;
  /** The last transient error since something moved; "" for none. */
  lastError: string;
}

/** A VM the gateway asked for, from before it was asked for until it is known to be gone. */
export interface OwnedVm {
  id: string;
  deploymentId: string;
  rolloutId: string;
  /** "ip:port"; "" until the host has answered. */
  endpoint: string;
  /** Unix ms until which running requests may end before the VM is shut down. */
  drainUntil: number;
}

export interface Deployment {
  id: string;
  tenantId: string;
  name: string;
  desired: Desired;
  /** Why the newest rollout failed, or the app that served ended. */
  failure: Failure | undefined;
  createdAt: number;
  updatedAt: number;
  /** Set once it has nothing any more. */
  deletedAt: number | undefined;
  newest: Rollout;
  /** The rollout whose VM has the route. */
  serving: Rollout | undefined;
  vms: OwnedVm[];
}

export type DeploymentState =
  'pending' | 'building' | 'starting' | 'ready' | 'failed' | 'stopped' | 'deleting';

/** Whether the rollout is still on its way. */
export function isInProgress({ phase }: Rollout): boolean {
  return ['pending', 'building', 'creating', 'booting'].includes(phase);
}

/** The state a user sees. A failed revision does not hide that the one before it still answers. */
export function stateOf(deployment: Deployment): DeploymentState {
  if (deployment.desired === 'deleted') return 'deleting';
  if (deployment.desired === 'stopped') return 'stopped';
  const { phase } = deployment.newest;
  if (phase === 'pending' || phase === 'building') return phase;
  if (isInProgress(deployment.newest)) return 'starting';
  return deployment.serving ? 'ready' : 'failed';
}

/** The step a user was shown for a phase. */
export function stepOf(phase: Phase): FailedStep {
  if (phase === 'creating') return 'create';
  return phase === 'booting' ? 'health' : 'build';
}

/** Whether the VM is the one that serves or the one being brought up. */
export function isWanted(deployment: Deployment, vm: OwnedVm): boolean {
  if (deployment.desired !== 'running') return false;
  if (vm.rolloutId === deployment.serving?.id) return true;
  return vm.rolloutId === deployment.newest.id && isInProgress(deployment.newest);
}

/** What a stored progress event says. */
export type EventBody =
  | { kind: 'step'; text: 'build' | 'create' | 'boot' | 'health' }
  | { kind: 'detail' | 'warning'; text: string }
  | { kind: 'ready' | 'failed'; view: DeploymentView };

export interface StoredEvent {
  seq: number;
  at: number;
  body: EventBody;
}

/** A deployment as its tenant sees it. */
export interface DeploymentView {
  id: string;
  tenantId: string;
  spec: Spec;
  state: DeploymentState;
  failure?: Failure | undefined;
  revision: number;
  buildId: string;
  resolvedImage: string;
  vmId: string;
  createdAt: number;
  updatedAt: number;
}

/** The newest revision, and whether and with which VM the deployment answers. */
export function viewOf(deployment: Deployment): DeploymentView {
  const { newest, serving } = deployment;
  return {
    id: deployment.id,
    tenantId: deployment.tenantId,
    spec: newest.spec,
    state: stateOf(deployment),
    failure: deployment.failure,
    revision: newest.revision,
    buildId: newest.buildId,
    resolvedImage: newest.resolvedImage,
    vmId: serving?.vmId ?? (isInProgress(newest) ? newest.vmId : ''),
    createdAt: deployment.createdAt,
    updatedAt: deployment.updatedAt,
  };
}
