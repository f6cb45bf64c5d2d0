import type { CommandContext } from '../command.ts';
import { createGatewayClient, explainUnreachable, type GatewayClient } from './gateway-client.ts';

/** Runs calls to gatewayd; when nothing answers there the error says what to do. */
export async function withGateway<T>(
  context: CommandContext,
  body: (client: GatewayClient) => Promise<T>,
): Promise<T> {
  try {
    return await body(createGatewayClient(context.settings));
  } catch (error) {
    throw explainUnreachable(error, context.settings);
  }
}
