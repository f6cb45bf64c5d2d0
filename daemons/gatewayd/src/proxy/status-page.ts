import type { IncomingMessage } from 'node:http';
import type { Route } from './route-table.ts';

/** What the gateway answers itself, in place of an app. */
export interface StatusPage {
  status: number;
  /** One word, for scripts. */
  reason: string;
  title: string;
  message: string;
  /** Seconds after which it is worth trying again. */
  retryAfter?: number;
}

/** The answer for a name that has no app to answer; undefined is a name nobody has. */
export function pageForRoute(
  name: string,
  route: Exclude<Route, { kind: 'ready' }> | undefined,
): StatusPage {
  if (!route) {
    const message = `There is no deployment named "${name}".`;
    return { status: 404, reason: 'unknown', title: 'Nothing is deployed here', message };
  }
  if (route.kind === 'starting') {
    const message = `"${name}" is being deployed and will answer here in a moment.`;
    return { status: 503, reason: 'starting', title: 'Starting', message, retryAfter: 2 };
  }
  if (route.kind === 'failed') {
    const message = `"${name}" is not running (${route.reason}): ${route.message}.`;
    return { status: 502, reason: 'failed', title: 'Failed', message };
  }
  const message = `"${name}" was stopped by its owner. It answers again once it is started.`;
  return { status: 503, reason: 'stopped', title: 'Stopped', message };
}

export const badRequest = (message: string): StatusPage => ({
  status: 400,
  reason: 'bad_request',
  title: 'Bad request',
  message,
});

export const noAnswer: StatusPage = {
  status: 502,
  reason: 'no_answer',
  title: 'The app does not answer',
  message: 'The app closed the connection or refused it before it answered.',
};

export const tooSlow: StatusPage = {
  status: 504,
  reason: 'too_slow',
  title: 'The app takes too long',
  message: 'The app accepted the request and did not begin its answer in time.',
};

/** The page as bytes to send: HTML for browsers, JSON for who asks for it, else a line of text. */
export function renderPage(
  page: StatusPage,
  request: IncomingMessage,
): { headers: Record<string, string>; body: string } {
  const accept = request.headers.accept ?? '';
  const { type, body } = accept.includes('text/html')
    ? { type: 'text/html; charset=utf-8', body: html(page) }
    : accept.includes('json')
      ? { type: 'application/json', body: json(page) }
      : { type: 'text/plain; charset=utf-8', body: `${page.title}: ${page.message}\n` };
  return {
    headers: {
      'content-type': type,
      'content-length': String(Buffer.byteLength(body)),
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'",
      'ingot-reason': page.reason,
      ...(page.retryAfter ? { 'retry-after': String(page.retryAfter) } : {}),
    },
    body,
  };
}

function json({ reason, message }: StatusPage): string {
  return `${JSON.stringify({ error: { reason, message } })}\n`;
}

function html({ status, title, message, retryAfter }: StatusPage): string {
  const refresh = retryAfter ? `<meta http-equiv="refresh" content="${retryAfter}">` : '';
  return `<!doctype html>
<html lang="en"><meta charset="utf-8">${refresh}
<meta name="viewport" content="width=device-width">
<title>${escape(title)}</title>
<style>
  body { margin: 0; min-height: 100vh; display: grid; place-content: center; padding: 2rem;
    font: 16px/1.5 system-ui, sans-serif; color: #1d2430; background: #f5f6f8 }
  h1 { font-size: 1.6rem; margin: 0 } p { max-width: 36rem; overflow-wrap: anywhere }
  small { color: #6a7385 }
  @media (prefers-color-scheme: dark) { body { color: #e6e9ef; background: #14181f } }
</style>
<h1>${escape(title)}</h1><p>${escape(message)}</p><small>Ingot · ${status}</small>
`;
}

function escape(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
