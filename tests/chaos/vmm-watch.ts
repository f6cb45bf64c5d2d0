import { cpuNsOf } from '../system/host-traces.ts';
import type { Instance } from '../system/instance.ts';
import { vmms } from './faults.ts';

interface Look {
  atMs: number;
  cpuNs: bigint;
}

/** What the VMMs use, read by us and not by metald. */
export class VmmWatch {
  readonly #looks = new Map<string, Look[]>();
  readonly #timer: NodeJS.Timeout;

  constructor(instance: Instance) {
    this.#timer = setInterval(() => this.#look(instance), 200);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** CPU time a VM's VMM had used at most and at least at a moment, as far as it was looked at. */
  cpuAt(vmId: string, atMs: number): { least: bigint; most: bigint | undefined } {
    const looks = this.#looks.get(vmId) ?? [];
    return {
      least: looks.findLast((look) => look.atMs <= atMs)?.cpuNs ?? 0n,
      most: looks.find((look) => look.atMs >= atMs)?.cpuNs,
    };
  }

  #look(instance: Instance): void {
    for (const { pid, vmId } of vmms(instance)) {
      try {
        const look = { atMs: Date.now(), cpuNs: cpuNsOf(pid) };
        this.#looks.set(vmId, [...(this.#looks.get(vmId) ?? []), look]);
      } catch {
        // It ended between the two looks.
      }
    }
  }
}
