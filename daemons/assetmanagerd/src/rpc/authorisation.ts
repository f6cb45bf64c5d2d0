import type { Interceptor } from '@connectrpc/connect';
import type { asset } from '@ingot/contracts';
import { callerOf, IngotError } from '@ingot/daemon-kit';

type Method = (typeof asset.AssetManagerService.methods)[number]['localName'];

/** Which daemons may call what. `operator` is whoever tends the installation. */
const callers: Readonly<Record<Method, readonly string[]>> = {
  registerAsset: ['builderd'],
  getAsset: ['builderd', 'metald', 'operator'],
  listAssets: ['builderd', 'metald', 'operator'],
  prepareAssets: ['metald'],
  acquireAsset: ['metald'],
  renewLease: ['metald'],
  releaseAsset: ['metald'],
  deleteAsset: ['operator'],
  garbageCollect: ['operator'],
};

/** Everybody who may call anything: what the server lets in. */
export const anyCaller: readonly string[] = [...new Set(Object.values(callers).flat())];

/** Refuses a caller whose identity is not listed for the method. */
export const authoriseMethod: Interceptor = (next) => (request) => {
  const caller = callerOf({ values: request.contextValues });
  const method = request.method.localName;
  const allowed: Readonly<Record<string, readonly string[]>> = callers;
  if (!allowed[method]?.includes(caller)) {
    throw new IngotError('permission_denied', `${caller} may not call ${request.method.name}`);
  }
  return next(request);
};
