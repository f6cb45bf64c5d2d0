import { moveTo, type Vm, type VmFailure } from './vm.ts';

/** How a guest ended, as PID 1 of it reported; both undefined when the VMM went without a report. */
export interface GuestEnd {
  readonly appExitCode: number | undefined;
  readonly guestError: string | undefined;
}

/**
 * What becomes of a VM whose VMM is gone. Asked to stop, or done by itself with 0 while it served:
 * STOPPED. Anything else is a failure.
 *
 * @param log - the last lines of the console.
 */
export function endOf(vm: Vm, { appExitCode, guestError }: GuestEnd, log: readonly string[]): Vm {
  if (vm.state === 'stopping') return moveTo(vm, 'stopped', { exitCode: appExitCode });
  if (vm.state === 'running' && appExitCode === 0) {
    return moveTo(moveTo(vm, 'stopping'), 'stopped', { exitCode: 0 });
  }
  return moveTo(vm, 'failed', { failure: { ...explain(vm, appExitCode, guestError), log } });
}

function explain(
  vm: Vm,
  exitCode: number | undefined,
  guestError: string | undefined,
): Omit<VmFailure, 'log'> {
  if (guestError !== undefined) {
    return { reason: 'boot_failed', message: `the guest could not start the app: ${guestError}` };
  }
  if (exitCode === undefined) {
    return { reason: 'vmm_crashed', message: 'the VMM ended without a word from the guest' };
  }
  const when = vm.state === 'booting' ? ' before it answered' : '';
  const how = exitCode > 128 ? `was ended by signal ${exitCode - 128}` : `exited with ${exitCode}`;
  return { reason: 'app_exited', message: `the app ${how}${when}`, exitCode };
}
