import type { HandlerContext, ServiceImpl } from '@connectrpc/connect';
import { gateway } from '@ingot/contracts';
import { createLogger, createMetrics, type RpcServer, startRpcServer } from '@ingot/daemon-kit';

type DeployService = ServiceImpl<typeof gateway.DeployService>;
type UsageService = ServiceImpl<typeof gateway.UsageService>;

export interface FakeGateway {
  readonly url: string;
  /** Idempotency keys of the deploys asked for, in order. */
  readonly keys: string[];
  readonly authorizations: string[];
  close(graceMs?: number): Promise<void>;
}

/** What the script of a deploy does: yields events, throws, or breaks the connection. */
export type DeployScript = (
  request: gateway.DeployRequest,
  attempt: number,
) => AsyncIterable<gateway.DeployEvent>;

/** gatewayd's API over the real contract and a real socket; what it answers is up to the test. */
export async function startFakeGateway(script: {
  deploy?: DeployScript;
  deployments?: Partial<DeployService>;
  usage?: UsageService;
  listen?: string;
}): Promise<FakeGateway> {
  const keys: string[] = [];
  const authorizations: string[] = [];
  let attempts = 0;
  async function* deploy(
    request: gateway.DeployRequest,
    context: HandlerContext,
  ): AsyncGenerator<gateway.DeployEvent> {
    keys.push(request.idempotencyKey);
    authorizations.push(context.requestHeader.get('authorization') ?? '');
    attempts += 1;
    if (script.deploy) yield* script.deploy(request, attempts);
  }
  const server: RpcServer = await startRpcServer({
    listen: script.listen ?? '127.0.0.1:0',
    routes: (router) => {
      router.service(gateway.DeployService, { deploy, ...script.deployments });
      router.service(gateway.UsageService, { ...script.usage });
    },
    readiness: () => ({ ready: true, reasons: [] }),
    metrics: createMetrics('fake'),
    logger: createLogger({ name: 'fake', level: 'silent' }),
  });
  return {
    url: server.url,
    keys,
    authorizations,
    close: (graceMs) => server.close(graceMs),
  };
}
