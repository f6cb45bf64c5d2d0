import type { IncomingMessage, ServerResponse } from 'node:http';
import { PassThrough } from 'node:stream';
import type { Dispatcher } from 'undici';
import { hasBody, requestHeaders, responseHeaders } from './headers.ts';
import type { Upstream } from './route-table.ts';
import { noAnswer, renderPage, type StatusPage, tooSlow } from './status-page.ts';

/** Answers with a page of the gateway's own. */
export function sendPage(
  request: IncomingMessage,
  response: ServerResponse,
  page: StatusPage,
): void {
  const { headers, body } = renderPage(page, request);
  response.writeHead(page.status, headers);
  response.end(body);
}

/**
 * Passes a request to a VM and its answer back, both as streams: no more of a body is in memory
 * than the two sockets' buffers hold, and each side goes at the pace of the slower one.
 *
 * @param timeoutMs - how long the app may take to begin its answer once the request is sent.
 */
export function proxyRequest(
  request: IncomingMessage,
  response: ServerResponse,
  upstream: Upstream,
  timeoutMs: number,
): void {
  new Exchange(request, response, upstream, timeoutMs).dispatch();
}

class Exchange implements Dispatcher.DispatchHandler {
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #upstream: Upstream;
  readonly #timeoutMs: number;
  readonly #hasBody: boolean;
  #controller: Dispatcher.DispatchController | undefined;
  #timer: NodeJS.Timeout | undefined;
  #timedOut = false;
  #gone = false;
  #retried = false;

  constructor(
    request: IncomingMessage,
    response: ServerResponse,
    upstream: Upstream,
    timeoutMs: number,
  ) {
    this.#request = request;
    this.#response = response;
    this.#upstream = upstream;
    this.#timeoutMs = timeoutMs;
    this.#hasBody = hasBody(request);
    response.once('close', () => {
      clearTimeout(this.#timer);
      upstream.release();
      if (response.writableFinished) return;
      this.#gone = true;
      this.#controller?.abort(new Error('the client went away'));
    });
    response.on('drain', () => this.#controller?.resume());
  }

  dispatch(): void {
    const options = {
      method: this.#request.method ?? 'GET',
      path: this.#request.url ?? '/',
      headers: requestHeaders(this.#request),
      body: this.#hasBody ? this.#body() : null,
    };
    if (!this.#hasBody) this.#startTimer();
    try {
      this.#upstream.pool.dispatch(options, this);
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  /** A stream of its own, because undici destroys a body and that would cut the client off. */
  #body(): PassThrough {
    const body = new PassThrough();
    this.#request.pipe(body);
    this.#request.once('end', () => this.#startTimer());
    this.#request.once('error', (error) => body.destroy(error));
    body.once('error', () => this.#request.unpipe(body).resume());
    body.once('close', () => this.#request.unpipe(body).resume());
    return body;
  }

  #startTimer(): void {
    if (this.#response.headersSent || this.#gone) return;
    this.#timer = setTimeout(() => {
      this.#timedOut = true;
      this.#controller?.abort(new Error('the app takes too long'));
      if (!this.#controller) this.#fail(new Error('no connection in time'));
    }, this.#timeoutMs);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#gone) controller.abort(new Error('the client went away'));
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    _headers: unknown,
    statusText?: string,
  ): void {
    if (status < 200) return;
    clearTimeout(this.#timer);
    const raw = (controller.rawHeaders ?? []) as Buffer[];
    const headers = responseHeaders(raw.map((part) => part.toString('latin1')));
    this.#response.writeHead(status, statusText ?? '', headers);
    // The first byte must not wait for the first of the body.
    this.#response.flushHeaders();
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (!this.#response.write(chunk)) controller.pause();
  }

  onResponseEnd(): void {
    this.#response.end();
  }

  onResponseError(_controller: Dispatcher.DispatchController | undefined, error: Error): void {
    this.#fail(error);
  }

  #fail(error: Error): void {
    clearTimeout(this.#timer);
    if (this.#gone || this.#response.writableEnded) return;
    if (this.#response.headersSent) {
      // What was sent cannot be taken back: a cut connection is how the client learns of it.
      this.#response.destroy();
      return;
    }
    const safe = this.#request.method === 'GET' || this.#request.method === 'HEAD';
    if (safe && !this.#hasBody && !this.#retried && !this.#timedOut && wasIdleCut(error)) {
      // The app closed a connection that waited for the next request just as this one was sent.
      this.#retried = true;
      this.#controller = undefined;
      this.dispatch();
      return;
    }
    sendPage(this.#request, this.#response, this.#timedOut ? tooSlow : noAnswer);
  }
}

function wasIdleCut(error: Error): boolean {
  return 'code' in error && (error.code === 'UND_ERR_SOCKET' || error.code === 'ECONNRESET');
}
