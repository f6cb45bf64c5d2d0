import type { Interceptor } from '@connectrpc/connect';
import { explainDiskFull } from '../domain/disk-full.ts';

/** A disk that fills up in the middle of any call, the registry's writes too, is `disk_full`. */
export const explainFullDisk: Interceptor = (next) => async (request) => {
  try {
    return await next(request);
  } catch (error) {
    throw explainDiskFull(error);
  }
};
