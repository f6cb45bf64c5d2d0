import type { HypervisorProbe, VmmSpec } from '../hypervisor.ts';

/** Names of what the VMM uses in its VM's directory. QEMU is started there, so they are relative. */
export const vmFiles = {
  overlay: 'overlay.img',
  mailbox: 'mailbox.img',
  console: 'console.log',
  log: 'vmm.log',
  pid: 'qemu.pid',
  qmp: 'qmp.sock',
  control: 'control.sock',
  /** An empty directory: all the VMM can see of the host's files once it runs. */
  emptyRoot: 'empty',
} as const;

/** What the kernel is told. Each word is there for a reason: */
const kernelWords = [
  // The serial port is the app's log; the kernel prints there, too,
  'console=ttyS0',
  // but nothing while it boots (a panic is printed at any level). PID 1 lets errors through while
  // the app runs, so that one killed for want of memory is seen.
  'loglevel=0',
  // A kernel that cannot go on must end the VM at once; the VMM runs with -no-reboot.
  'panic=-1',
  // A microvm has no PCI bus; looking for one costs time.
  'pci=off',
  // It has one serial port, not 32.
  '8250.nr_uarts=1',
  // The timer of an emulated machine need not be proven to tick before it is used.
  'no_timer_check',
  // The kernel's tests of its own ciphers, which most builds leave out: 0.2 s of an emulated boot.
  'cryptomgr.notests=1',
];

/**
 * The kernel's command line.
 *
 * @param tscKhz - for an emulated guest, the frequency of the host's time stamp counter, which the
 *   guest reads; its own measurement fails on a busy host and leaves it without a clock.
 */
export function kernelCommandLine(tscKhz: number | undefined): string {
  return tscKhz === undefined
    ? kernelWords.join(' ')
    : [...kernelWords, `tsc_early_khz=${tscKhz}`].join(' ');
}

/** The name by which a VMM is known in the process table, too. */
export function vmmName(vmId: string): string {
  return `ingot-${vmId}`;
}

/** Arguments that make the machine itself; the probe uses them alone. */
export function machineArguments(
  accelerator: HypervisorProbe['accelerator'],
  kernel: { kernelPath: string; initrdPath: string; append: string },
): string[] {
  return [
    // Without ACPI the kernel would not find the devices (Debian builds it so).
    ...['-M', 'microvm,acpi=on'],
    ...['-accel', accelerator],
    // "max" is all that software emulation can do, "host" all that the hardware can.
    ...['-cpu', accelerator === 'kvm' ? 'host' : 'max'],
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
    ...['-kernel', kernel.kernelPath, '-initrd', kernel.initrdPath, '-append', kernel.append],
  ];
}

/**
 * The arguments of one VM's QEMU. It starts as root inside the VM's network namespace, opens
 * everything named here, and then gives up root and the host's file system (-runas, -chroot)
 * before the guest runs.
 */
export function vmArguments(
  spec: VmmSpec,
  accelerator: HypervisorProbe['accelerator'],
  tscKhz: number | undefined,
): readonly string[] {
  const user = `${spec.uid}:${spec.uid}`;
  return [
    ...['-name', vmmName(spec.vmId)],
    ...machineArguments(accelerator, { ...spec, append: kernelCommandLine(tscKhz) }),
    ...['-m', `${spec.memoryMib}M`, '-smp', String(spec.vcpus)],
    // Held before the first instruction.
    '-S',
    ...drive('rootfs', spec.rootfsPath, 'readonly=on'),
    ...drive('overlay', vmFiles.overlay, 'discard=unmap'),
    ...drive('mailbox', vmFiles.mailbox, 'cache=writeback'),
    ...['-netdev', `tap,id=net,ifname=${spec.network.tap},script=no,downscript=no,vhost=off`],
    ...['-device', `virtio-net-device,netdev=net,mac=${spec.network.guestMac}`],
    ...['-chardev', `file,id=console,path=${vmFiles.console},append=on`],
    ...['-serial', 'chardev:console'],
    ...['-chardev', `socket,id=control,path=${vmFiles.control},server=on,wait=off`],
    ...['-device', 'virtio-serial-device'],
    ...['-device', 'virtserialport,chardev=control,name=ingot.control'],
    ...['-chardev', `socket,id=qmp,path=${vmFiles.qmp},server=on,wait=off`],
    ...['-mon', 'chardev=qmp,mode=control'],
    // "elevateprivileges" must stay allowed because QEMU 7.2 applies the filter before -runas; the
    // process has no capability afterwards, and was started with no_new_privs, so nothing is left to
    // elevate.
    ...['-sandbox', 'on,obsolete=deny,elevateprivileges=allow,spawn=deny,resourcecontrol=deny'],
    ...['-runas', user, '-chroot', vmFiles.emptyRoot, '-pidfile', vmFiles.pid],
  ];
}

/** A virtio disk the guest finds by its serial, whatever its name there. */
function drive(serial: string, path: string, option: string): string[] {
  // A comma in a value is written twice (QEMU's own rule).
  const file = path.replaceAll(',', ',,');
  return [
    ...['-drive', `if=none,id=${serial},format=raw,file=${file},${option}`],
    // A full disk of the host is an I/O error in the guest; QEMU's default would hold the guest unseen.
    ...[
      '-device',
      `virtio-blk-device,drive=${serial},serial=${serial},werror=report,rerror=report`,
    ],
  ];
}
