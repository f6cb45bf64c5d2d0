import type { Sample } from '../../domain/sample.ts';
import { readSample, sampleBytes, writeSample } from './record-codec.ts';

/** Two minutes: what a batch a minute needs, and one missed. */
const capacity = 1_200;

/** The newest samples of one run, packed: while billaged answers, sending reads no file. */
export class SampleWindow {
  readonly #bytes = Buffer.allocUnsafe(capacity * sampleBytes);
  #count = 0;

  add(sample: Sample): void {
    writeSample(this.#bytes, (this.#count % capacity) * sampleBytes, 0, sample);
    this.#count++;
  }

  /** At most `max` samples from sequence `from` on; undefined when `from` is older than the window. */
  read(from: bigint, max: number): Sample[] | undefined {
    const oldest = Math.max(0, this.#count - capacity);
    if (this.#count === 0) return undefined;
    const first = this.#at(oldest).sequence;
    if (from < first) return undefined;
    const start = oldest + Number(from - first);
    const end = Math.min(this.#count, start + max);
    return Array.from({ length: Math.max(0, end - start) }, (_, index) => this.#at(start + index));
  }

  #at(position: number): Sample {
    return readSample(this.#bytes, (position % capacity) * sampleBytes);
  }
}
