import { open, rename } from 'node:fs/promises';
import { IngotError } from '@ingot/daemon-kit';
import type { VmmExit, VmmSpec } from '../hypervisor.ts';

// The format is described in guest/init/README.md; guest/init/config.c and report.c are the other side.
const reportBytes = 4096;
const configMagic = 'INGOTCF1';
const reportMagic = 'INGOTRP1';
/** What PID 1 accepts; Linux itself takes little more as arguments and environment of a program. */
const maxRecordsBytes = 2 * 1024 * 1024;

/** The mailbox drive of a VM: room for the guest's exit report, then the VM's configuration. */
export function encodeMailbox(spec: VmmSpec): Buffer {
  const { app, network } = spec;
  const records = Buffer.from(
    [
      ...app.args.map((value) => `arg=${value}`),
      ...app.env.map((value) => `env=${value}`),
      `cwd=${app.workingDir}`,
      `user=${app.user}`,
      `hostname=${spec.hostname}`,
      `address=${network.guestAddress}/${network.guestPrefixLength}`,
      `gateway=${network.gateway}`,
      ...network.nameservers.map((value) => `nameserver=${value}`),
    ]
      .map((record) => `${record}\0`)
      .join(''),
    'utf8',
  );
  if (records.length > maxRecordsBytes) {
    throw new IngotError(
      'invalid_argument',
      `the app's arguments and environment take ${records.length} bytes; at most ${maxRecordsBytes} fit`,
      { remedy: 'put large values into the image or fetch them when the app starts' },
    );
  }
  const length = reportBytes + configMagic.length + 4 + records.length;
  // A drive has whole sectors.
  const drive = Buffer.alloc(Math.ceil(length / 4096) * 4096);
  drive.write(configMagic, reportBytes, 'latin1');
  drive.writeUInt32LE(records.length, reportBytes + configMagic.length);
  records.copy(drive, reportBytes + configMagic.length + 4);
  return drive;
}

/** Puts the mailbox in place whole, owned by the VMM's user; the last life's report is gone then. */
export async function writeMailbox(path: string, spec: VmmSpec): Promise<void> {
  const temporary = `${path}.tmp`;
  const file = await open(temporary, 'w', 0o600);
  try {
    await file.writeFile(encodeMailbox(spec));
    await file.chown(spec.uid, spec.uid);
  } finally {
    await file.close();
  }
  await rename(temporary, path);
}

/** The report in a mailbox drive. The guest wrote it: it is read as text of bounded length, no more. */
export function decodeReport(drive: Buffer): VmmExit {
  const exit: VmmExit = { appExitCode: undefined, guestError: undefined };
  const report = drive.subarray(0, reportBytes);
  if (report.toString('latin1', 0, reportMagic.length) !== reportMagic) return exit;
  for (const record of report.toString('utf8', reportMagic.length).split('\0')) {
    const code = /^exit=(\d{1,3})$/.exec(record)?.[1];
    if (code !== undefined && Number(code) <= 255) exit.appExitCode = Number(code);
    if (record.startsWith('error=')) exit.guestError = printable(record.slice('error='.length));
  }
  return exit;
}

/** What the guest reported before it ended; nothing known when the drive is not there. */
export async function readReport(path: string): Promise<VmmExit> {
  try {
    const file = await open(path, 'r');
    try {
      // No more than the report's place: whoever took over the VMM decides how long the file is.
      const { buffer, bytesRead } = await file.read(Buffer.alloc(reportBytes), 0, reportBytes, 0);
      return decodeReport(buffer.subarray(0, bytesRead));
    } finally {
      await file.close();
    }
  } catch {
    return { appExitCode: undefined, guestError: undefined };
  }
}

function printable(text: string): string {
  // eslint-disable-next-line no-control-regex -- control characters are what must not get through
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, ' ').slice(0, 1000);
}
