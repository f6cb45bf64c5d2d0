import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { gateway as proto } from '@ingot/contracts';
import type {
  DeploymentState,
  DeploymentView,
  EventBody,
  StoredEvent,
} from '../domain/deployment.ts';
import type { ApiKey, Tenant } from '../store/tenant-store.ts';

const states: Record<DeploymentState, proto.DeploymentState> = {
  pending: proto.DeploymentState.PENDING,
  building: proto.DeploymentState.BUILDING,
  starting: proto.DeploymentState.STARTING,
  ready: proto.DeploymentState.READY,
  failed: proto.DeploymentState.FAILED,
  stopped: proto.DeploymentState.STOPPED,
  deleting: proto.DeploymentState.DELETING,
};

/** What a view does not hold: it is true now or here only. */
export interface ViewContext {
  urlOf(name: string): string;
  isBillingDegraded(vmId: string): boolean;
}

export function deploymentToProto(view: DeploymentView, context: ViewContext): proto.Deployment {
  const { failure, createdAt, updatedAt, state, ...rest } = view;
  return create(proto.DeploymentSchema, {
    ...rest,
    state: states[state],
    ...(failure ? { failure: failureToProto(failure) } : {}),
    url: context.urlOf(view.spec.name),
    createdAt: timestampFromMs(createdAt),
    updatedAt: timestampFromMs(updatedAt),
    billingDegraded: context.isBillingDegraded(view.vmId),
  });
}

function failureToProto(
  failure: NonNullable<DeploymentView['failure']>,
): MessageInitShape<typeof proto.DeploymentFailureSchema> {
  const { exitCode, ...rest } = failure;
  return exitCode === undefined ? rest : { ...rest, exitCode };
}

export function eventToProto({ at, body }: StoredEvent, context: ViewContext): proto.DeployEvent {
  const event = eventCase(body, context);
  return create(proto.DeployEventSchema, { at: timestampFromMs(at), event });
}

function eventCase(body: EventBody, context: ViewContext): proto.DeployEvent['event'] {
  if ('view' in body) {
    return { case: body.kind, value: deploymentToProto(body.view, context) };
  }
  if (body.kind === 'step') {
    return { case: 'step', value: create(proto.StepStartedSchema, { name: body.text }) };
  }
  return { case: body.kind, value: body.text };
}

export function tenantToProto(tenant: Tenant): proto.Tenant {
  return create(proto.TenantSchema, {
    ...tenant,
    createdAt: timestampFromMs(tenant.createdAt),
  });
}

export function keyToProto(key: ApiKey): proto.ApiKey {
  const { createdAt, revokedAt, ...rest } = key;
  return create(proto.ApiKeySchema, {
    ...rest,
    createdAt: timestampFromMs(createdAt),
    ...(revokedAt === undefined ? {} : { revokedAt: timestampFromMs(revokedAt) }),
  });
}
