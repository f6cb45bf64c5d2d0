import type { Socket } from 'node:net';
import { IngotError } from '@ingot/daemon-kit';
import { z } from 'zod';
import { connectUnixSocket } from './unix-socket.ts';

/** A QMP message is a line; QEMU's longest are far below this. More means it is not to be trusted. */
const maxLineBytes = 1024 * 1024;
const commandTimeoutMs = 10_000;

const messageSchema = z.union([
  z.object({ QMP: z.unknown() }),
  z.object({ return: z.unknown(), id: z.number().optional() }),
  z.object({ error: z.object({ class: z.string(), desc: z.string() }), id: z.number().optional() }),
  z.object({ event: z.string() }),
]);

interface Waiting {
  resolve: (value: unknown) => void;
  reject: (error: IngotError) => void;
  timer: NodeJS.Timeout;
}

/** QEMU's control socket: one JSON object a line. */
export class Qmp {
  /** Settles when the socket is closed, which QEMU's end does at once. */
  readonly closed: Promise<void>;
  readonly #socket: Socket;
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 1;
  #unread = '';
  #greeted: () => void = () => undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding('utf8');
    socket.on('data', (text: string) => this.#receive(text));
    // The close that follows an error is what counts.
    socket.on('error', () => undefined);
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        this.#failAll(new IngotError('vmm_crashed', 'the VMM closed its control socket'));
        resolve();
      });
    });
  }

  /** Connects and finishes the greeting. Fails as connectUnixSocket does while QEMU is not up. */
  static async connect(path: string): Promise<Qmp> {
    const socket = await connectUnixSocket(path);
    const qmp = new Qmp(socket);
    try {
      await qmp.#greeting();
      await qmp.execute('qmp_capabilities');
      return qmp;
    } catch (error) {
      qmp.close();
      throw error;
    }
  }

  /** Runs one command; answers its return value. Fails with vmm_crashed when QEMU does not answer. */
  execute(command: string): Promise<unknown> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      if (this.#socket.destroyed) {
        reject(new IngotError('vmm_crashed', 'the VMM is gone'));
        return;
      }
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        reject(new IngotError('vmm_crashed', `the VMM does not answer ${command}`));
      }, commandTimeoutMs);
      this.#waiting.set(id, { resolve, reject, timer });
      this.#socket.write(`${JSON.stringify({ execute: command, id })}\n`);
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  async #greeting(): Promise<void> {
    await Promise.race([
      new Promise<void>((resolve) => {
        this.#greeted = resolve;
      }),
      this.closed.then(() => {
        throw new IngotError('vmm_crashed', 'the VMM closed its control socket');
      }),
    ]);
  }

  #receive(text: string): void {
    const lines = (this.#unread + text).split('\n');
    this.#unread = lines.pop() ?? '';
    if (this.#unread.length > maxLineBytes) this.close();
    for (const line of lines) this.#handle(line);
  }

  #handle(line: string): void {
    const message = parseMessage(line);
    if (message === undefined) return this.close();
    if ('QMP' in message) return this.#greeted();
    if ('event' in message) return;
    const waiting = this.#waiting.get(message.id ?? 0);
    if (waiting === undefined) return;
    this.#waiting.delete(message.id ?? 0);
    clearTimeout(waiting.timer);
    if ('error' in message) {
      waiting.reject(new IngotError('vmm_crashed', `the VMM refused: ${message.error.desc}`));
    } else waiting.resolve(message.return);
  }

  #failAll(error: IngotError): void {
    for (const { reject, timer } of this.#waiting.values()) {
      clearTimeout(timer);
      reject(error);
    }
    this.#waiting.clear();
  }
}

function parseMessage(line: string): z.infer<typeof messageSchema> | undefined {
  try {
    return messageSchema.safeParse(JSON.parse(line)).data;
  } catch {
    return undefined;
  }
}
