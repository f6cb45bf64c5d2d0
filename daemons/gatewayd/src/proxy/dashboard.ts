import type { RequestListener } from 'node:http';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const files: Readonly<Record<string, readonly [file: string, type: string]>> = {
  '/': ['index.html', 'text/html; charset=utf-8'],
  '/dashboard.js': ['dashboard.js', 'text/javascript; charset=utf-8'],
  '/dashboard.css': ['dashboard.css', 'text/css; charset=utf-8'],
};

const headers = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-cache',
};

/** Serves the page of the dashboard, read once, and 404 for anything else. */
export function serveDashboard(dir: string): RequestListener {
  const pages = new Map(
    Object.entries(files).map(([path, [file, type]]) => [
      path,
      { type, body: readFileSync(join(dir, file)) },
    ]),
  );
  return (request, response) => {
    const page = pages.get(request.url?.split('?')[0] ?? '');
    if (!page) {
      response.writeHead(404, { 'content-type': 'text/plain' }).end('there is nothing here\n');
    } else if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.writeHead(405, { allow: 'GET, HEAD' }).end();
    } else {
      response.writeHead(200, { ...headers, 'content-type': page.type }).end(page.body);
    }
  };
}
