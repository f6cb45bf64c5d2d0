import type { Surroundings } from '../actions/surroundings.ts';
import type { InboxFile } from '../inbox/inbox.ts';

/** Ports whose calls stop for good at one call, as if the process had been killed there. */
export interface Frozen {
  readonly around: Surroundings;
  /** Resolves when the call to stop at has come. */
  readonly reached: Promise<void>;
  /** Closes the files that were open, as the end of a process does. */
  end(): Promise<void>;
}

/**
 * @param at - calls to let through; the next one never returns.
 * @param after - whether that call still takes effect.
 */
export function freezeAfter(around: Surroundings, at: number, after: boolean): Frozen {
  const reached = Promise.withResolvers<void>();
  const files: InboxFile[] = [];
  let calls = 0;
  const never = new Promise<never>(() => undefined);
  const wrap = <T extends object>(port: T): T =>
    new Proxy(port, {
      get: (target, property) => {
        const member = Reflect.get(target, property) as unknown;
        if (typeof member !== 'function') return member;
        if (property === 'pathOf') return member.bind(target) as unknown;
        return async (...args: unknown[]) => {
          const call = calls++;
          if (call > at || (call === at && !after)) {
            reached.resolve();
            return never;
          }
          const result: unknown = await Reflect.apply(member, target, args);
          if (property === 'open') files.push(result as InboxFile);
          if (call < at) return result;
          reached.resolve();
          return never;
        };
      },
    });
  return {
    reached: reached.promise,
    end: async () => {
      for (const file of files) await file.close();
    },
    around: {
      ...around,
      registry: wrap(around.registry),
      store: wrap(around.store),
      staging: wrap(around.staging),
      inbox: wrap(around.inbox),
    },
  };
}
