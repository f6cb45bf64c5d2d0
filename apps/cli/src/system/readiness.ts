import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { join } from 'node:path';
import { z } from 'zod';
import { type DaemonName, reachable } from './daemons.ts';

const answerSchema = z.object({ ready: z.boolean(), reasons: z.array(z.string()) });
const timeoutMs = 5000;

/** What a daemon's /readyz says; `alive` is false when nothing answers. */
export interface DaemonReadiness {
  alive: boolean;
  ready: boolean;
  /** Why it is not ready, or what is degraded. */
  reasons: readonly string[];
}

/** The address of a daemon's plain pages: gatewayd speaks HTTP, the others TLS. */
export function pageUrl(name: DaemonName, listen: string): string {
  return `${name === 'gatewayd' ? 'http' : 'https'}://${reachable(listen)}`;
}

/** Asks /readyz. The server must have a certificate of this installation's authority. */
export function askReadiness(
  name: DaemonName,
  listen: string,
  dataDir: string,
): Promise<DaemonReadiness> {
  const url = `${pageUrl(name, listen)}/readyz`;
  return new Promise((resolve) => {
    const dead = (error: Error): void =>
      resolve({ alive: false, ready: false, reasons: [`does not answer: ${error.message}`] });
    const onResponse = (response: http.IncomingMessage): void => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (body += chunk));
      response.on('error', dead);
      response.on('end', () => resolve({ alive: true, ...parseAnswer(body) }));
    };
    try {
      const options = { agent: false, timeout: timeoutMs };
      const request = url.startsWith('https:')
        ? https.get(url, { ...options, ...trust(dataDir) }, onResponse)
        : http.get(url, options, onResponse);
      request.on('timeout', () => request.destroy(new Error('no answer in time')));
      request.on('error', dead);
    } catch (error) {
      dead(error instanceof Error ? error : new Error(String(error)));
    }
  });
}

function parseAnswer(body: string): { ready: boolean; reasons: readonly string[] } {
  try {
    return answerSchema.parse(JSON.parse(body));
  } catch {
    return { ready: false, reasons: ['something else than this daemon answers there'] };
  }
}

function trust(dataDir: string): https.RequestOptions {
  return {
    ca: readFileSync(join(dataDir, 'pki', 'authority', 'certificate.pem')),
    // The name is the daemon's, not the host's; the authority is what counts here.
    checkServerIdentity: () => undefined,
  };
}
