import { createContextKey, type HandlerContext, type Interceptor } from '@connectrpc/connect';
import { gateway } from '@ingot/contracts';
import { IngotError } from '@ingot/daemon-kit';
import { type Authenticator, type Principal, requireAdmin } from '../actions/keys.ts';

const principalKey = createContextKey<Principal | undefined>(undefined);

/** Every call needs a key in use; tenants are managed by the operator's only. */
export function authentication(authenticator: Authenticator): Interceptor {
  return (next) => async (request) => {
    const principal = await authenticator.authenticate(request.header.get('authorization'));
    if (request.service.typeName === gateway.TenantService.typeName) requireAdmin(principal);
    request.contextValues.set(principalKey, principal);
    return next(request);
  };
}

/** Who makes the call. @throws IngotError unauthenticated */
export function principalOf(context: Pick<HandlerContext, 'values'>): Principal {
  const principal = context.values.get(principalKey);
  if (!principal) throw new IngotError('unauthenticated', 'this needs an API key');
  return principal;
}
