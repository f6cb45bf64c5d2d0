import type { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { Clock } from '@ingot/daemon-kit';
import { connectUnixSocket } from './unix-socket.ts';

/** The guest is read this rarely, and this little is kept of it: a hostile one gains nothing by talking. */
const readPauseMs = 20;
const maxUnreadBytes = 256;

/** The channel to PID 1 of the guest: lines of text, described in guest/init/README.md. */
export class ControlChannel {
  readonly #path: string;
  readonly #clock: Clock;
  #socket: Socket | undefined;

  constructor(path: string, clock: Clock) {
    this.#path = path;
    this.#clock = clock;
  }

  /** Listens for the guest's question about the time. Does nothing when it does already. */
  async open(): Promise<void> {
    if (this.#socket !== undefined && !this.#socket.destroyed) return;
    const socket = await connectUnixSocket(this.#path);
    this.#socket = socket;
    socket.on('error', () => undefined);
    let unread = '';
    socket.on('data', (bytes: Buffer) => {
      unread = (unread + bytes.toString('latin1')).slice(-maxUnreadBytes);
      if (unread.includes('time?\n')) {
        unread = '';
        socket.write(`time ${this.#clock.now()}000000\n`);
      }
      socket.pause();
      void delay(readPauseMs, undefined, { ref: false }).then(() => socket.resume());
    });
  }

  /** Asks PID 1 to send the app SIGTERM. */
  async requestStop(): Promise<void> {
    await this.open();
    this.#socket?.write('stop\n');
  }

  close(): void {
    this.#socket?.destroy();
  }
}
