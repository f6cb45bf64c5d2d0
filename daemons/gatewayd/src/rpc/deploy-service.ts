import type { HandlerContext, ServiceImpl } from '@connectrpc/connect';
import type { gateway as proto } from '@ingot/contracts';
import { decodePageToken, encodePageToken, IngotError } from '@ingot/daemon-kit';
import { z } from 'zod';
import type { Context } from '../actions/context.ts';
import { deploy, start } from '../actions/deploy.ts';
import { endDeployment } from '../actions/end-deployment.ts';
import { followRollout } from '../actions/follow-rollout.ts';
import { LogStreams } from '../actions/log-streams.ts';
import { streamLogs } from '../actions/stream-logs.ts';
import { type Deployment, type Rollout, viewOf } from '../domain/deployment.ts';
import { principalOf } from './authenticate.ts';
import { deploymentToProto, eventToProto, type ViewContext } from './to-proto.ts';

const defaultPageSize = 100;

/** A customer's deployments. Every look-up is made with the caller's tenant. */
export function deployService(
  actions: Context,
  view: ViewContext,
  kick: (id: string) => void,
): ServiceImpl<typeof proto.DeployService> {
  const { store } = actions;
  const logStreams = new LogStreams();

  async function find(name: string, context: HandlerContext): Promise<Deployment> {
    const found = await store.find(principalOf(context).tenantId, name);
    if (found) return found;
    throw new IngotError('deployment_not_found', `there is no deployment ${name}`, {
      remedy: '`ingot ps` lists the ones there are',
    });
  }

  async function* follow({ id, deploymentId }: Rollout, context: HandlerContext) {
    kick(deploymentId);
    for await (const event of followRollout(actions, id, context.signal)) {
      yield eventToProto(event, view);
    }
  }

  return {
    async *deploy({ spec, idempotencyKey }, context) {
      if (!spec) throw new IngotError('invalid_argument', 'the deploy has no spec');
      const { name, image, env, vcpus, memoryMib, port } = spec;
      const { tenantId } = principalOf(context);
      const asked = { name, image, env, vcpus, memoryMib, port };
      yield* follow(await deploy(actions, tenantId, asked, idempotencyKey), context);
    },
    async *start({ name }, context) {
      yield* follow(await start(actions, await find(name, context)), context);
    },
    get: async ({ name }, context) => deploymentToProto(viewOf(await find(name, context)), view),
    list: async ({ pageSize, pageToken }, context) => {
      const after = decodePageToken(z.string(), pageToken) ?? '';
      const limit = pageSize || defaultPageSize;
      const found = await store.list(principalOf(context).tenantId, after, limit);
      const last = found.length === limit ? found.at(-1) : undefined;
      return {
        deployments: found.map((deployment) => deploymentToProto(viewOf(deployment), view)),
        nextPageToken: last ? encodePageToken(last.name) : '',
      };
    },
    stop: async ({ name }, context) => {
      const deployment = await find(name, context);
      const after = await endDeployment(actions, deployment, 'stopped', kick, context.signal);
      return deploymentToProto(viewOf(after ?? deployment), view);
    },
    delete: async ({ name }, context) => {
      const { tenantId } = principalOf(context);
      const deployment = await store.find(tenantId, name);
      if (deployment) {
        await endDeployment(actions, deployment, 'deleted', kick, context.signal);
      } else if (![...(await store.namesOf(tenantId)).values()].includes(name)) {
        await find(name, context);
      }
      return {};
    },
    async *streamLogs({ name, follow: stay, tailLines }, context) {
      const deployment = await find(name, context);
      const close = logStreams.open(deployment.tenantId);
      try {
        for await (const data of streamLogs(actions, deployment, stay, tailLines, context.signal)) {
          yield { data };
        }
      } finally {
        close();
      }
    },
  };
}
