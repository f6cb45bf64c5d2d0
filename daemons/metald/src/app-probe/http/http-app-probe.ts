import { request } from 'node:http';
import type { AppProbe } from '../app-probe.ts';

/**
 * A guest without a network drops the first packets, and TCP waits a second before it sends them
 * again: many short tries find a new guest sooner than one patient one.
 */
const connectMs = 100;
/** An app that has taken the connection may think about its first answer. */
const answerMs = 5_000;

/** Asks with GET /. */
export class HttpAppProbe implements AppProbe {
  answers(endpoint: string, signal: AbortSignal): Promise<boolean> {
    return new Promise((resolve) => {
      const call = request(`http://${endpoint}/`, {
        agent: false,
        signal,
        headers: { 'user-agent': 'ingot-readiness', connection: 'close' },
      });
      let timer = setTimeout(() => call.destroy(), connectMs);
      const settle = (answered: boolean): void => {
        clearTimeout(timer);
        call.destroy();
        resolve(answered);
      };
      call.on('socket', (socket) =>
        socket.on('connect', () => {
          clearTimeout(timer);
          timer = setTimeout(() => call.destroy(), answerMs);
        }),
      );
      call.on('response', () => settle(true));
      call.on('upgrade', (_response, socket) => {
        socket.destroy();
        settle(true);
      });
      call.on('error', () => settle(false));
      call.on('close', () => settle(false));
      call.end();
    });
  }
}
