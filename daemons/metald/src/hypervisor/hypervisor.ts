/** What a VMM needs to run one guest. All paths are absolute and on this host. */
export interface VmmSpec {
  vmId: string;
  /** A directory of the VM's own; the VMM's sockets, logs and drives live here. */
  dir: string;
  vcpus: number;
  memoryMib: number;
  /** Staged read-only files. */
  kernelPath: string;
  initrdPath: string;
  rootfsPath: string;
  /** The VM's own writable overlay disk; made at launch when absent, kept when present. */
  diskMib: number;
  network: {
    /** Name of the network namespace the VMM must be in, and of the tap inside it. */
    netns: string;
    tap: string;
    guestMac: string;
    guestAddress: string;
    guestPrefixLength: number;
    gateway: string;
    nameservers: readonly string[];
  };
  /** The unprivileged user and group id the VMM runs as; no other VM has it. */
  uid: number;
  hostname: string;
  app: {
    args: readonly string[];
    env: readonly string[];
    workingDir: string;
    user: string;
  };
}

/** How to find a VMM process again after metald itself was restarted. Written before it counts as started. */
export interface VmmRecord {
  vmId: string;
  dir: string;
  pid: number;
  /** Field 22 of /proc/PID/stat, in clock ticks since the host's boot: tells a reused pid apart. */
  startTimeTicks: number;
}

/** How a guest's life ended. */
export interface VmmExit {
  /** As PID 1 of the guest reported it; undefined when the VMM went without a report. 128 + signal for a signal. */
  appExitCode: number | undefined;
  /** Why PID 1 could not run the app, such as "no such user: web". */
  guestError: string | undefined;
}

/** One VMM process. */
export interface Vmm {
  readonly record: VmmRecord;
  /** Lets the guest execute its first instruction. A second call does nothing. */
  start(): Promise<void>;
  /** Asks PID 1 to end the app (SIGTERM) and power off. Returns at once; `exited` tells when. */
  requestShutdown(): Promise<void>;
  /** Ends the process now and waits until it is gone. Never fails when it is gone already. */
  kill(): Promise<void>;
  /** Settles once, within 100 ms of the process ending, whoever ended it. */
  readonly exited: Promise<VmmExit>;
  /** Lets go of sockets and watchers; the VMM runs on. */
  detach(): Promise<void>;
}

/** What the start-up probe found. */
export interface HypervisorProbe {
  name: string;
  version: string;
  /** "kvm" only where a guest was seen to run under it. */
  accelerator: 'kvm' | 'tcg';
}

/** A way to run microVMs. Backends: qemu (here), fake (scriptable, for tests), firecracker (next). */
export interface Hypervisor {
  probe(): Promise<HypervisorProbe>;
  /** Starts a VMM outside metald's process tree with the guest held before its first instruction. */
  launch(spec: VmmSpec): Promise<Vmm>;
  /** Takes up a VMM of an earlier life of metald; undefined when that very process is gone. */
  recover(record: VmmRecord): Promise<Vmm | undefined>;
  /** A VMM whose launch was cut short before its record was kept: found by the VM's directory, else undefined. */
  findStray(vmId: string, dir: string): Promise<VmmRecord | undefined>;
  /** How the last life in this directory ended, for a VMM found gone after a restart of metald. */
  readExit(dir: string): Promise<VmmExit>;
  /** Where the guest's serial console is written: the app's log. Append-only, kept below a bound. */
  consolePath(dir: string): string;
}
