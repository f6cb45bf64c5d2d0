import { clearInterval, setInterval } from 'node:timers';
import type { Clock } from '@ingot/daemon-kit/client';
import type { Output } from '../context.ts';
import { formatDuration } from './duration.ts';

const frames = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const frameMs = 100;
const shownDetails = 4;

/**
 * The step that is going on, at the bottom of a terminal: a turning sign, its title, how long it
 * takes, and its last details below, drawn over again in place.
 */
export class LiveBlock {
  readonly #out: Output;
  readonly #clock: Clock;
  #title: string | undefined;
  #details: string[] = [];
  #startedAt = 0;
  #drawnLines = 0;
  #frame = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(out: Output, clock: Clock) {
    this.#out = out;
    this.#clock = clock;
  }

  begin(title: string): void {
    this.#title = title;
    this.#details = [];
    this.#startedAt = this.#clock.monotonicMs();
    this.#timer = setInterval(() => this.#draw(), frameMs);
    this.#timer.unref();
    this.#draw();
  }

  detail(text: string): void {
    this.#details = [...this.#details, text].slice(-shownDetails);
    if (this.#title === undefined) this.above(text);
    else this.#draw();
  }

  /** A line that stays, above what is going on. */
  above(text: string): void {
    this.#erase();
    this.#out.write(`${text}\n`);
    if (this.#title !== undefined) this.#draw();
  }

  /** Leaves the title with its sign and time, and nothing of the rest. Twice is fine. */
  finish(sign: string): void {
    clearInterval(this.#timer);
    if (this.#title === undefined) return;
    this.#erase();
    this.#out.write(`${this.#heading(sign)}\n`);
    this.#title = undefined;
  }

  #draw(): void {
    this.#erase();
    this.#frame = (this.#frame + 1) % frames.length;
    const width = Math.max(20, this.#out.columns - 1);
    const lines = [
      this.#heading(frames[this.#frame] ?? ''),
      ...this.#details.map((text) => `  ${text}`),
    ].map((line) => (line.length > width ? `${line.slice(0, width - 1)}…` : line));
    this.#out.write(`${lines.join('\n')}\n`);
    this.#drawnLines = lines.length;
  }

  #erase(): void {
    // Up over what was drawn, then clear to the end of the screen.
    if (this.#drawnLines > 0) this.#out.write(`\x1b[${this.#drawnLines}A\x1b[J`);
    this.#drawnLines = 0;
  }

  #heading(sign: string): string {
    const took = formatDuration(this.#clock.monotonicMs() - this.#startedAt);
    return `${sign} ${this.#title ?? ''} (${took})`;
  }
}
