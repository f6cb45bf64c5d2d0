import { access, constants, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { runCommand } from '@ingot/daemon-kit';
import { z } from 'zod';
import { machineArguments } from './qemu-arguments.ts';

/** A guest under hardware virtualisation needs about 0.3 s to reach its PID 1. */
const probeTimeoutMs = 3_000;
const marker = 'ingot-probe-ok';

const answerSchema = z.object({ bootId: z.string(), version: z.string(), works: z.boolean() });

export interface KvmProbeSettings {
  program: string;
  /** QEMU's version: another one is asked again. */
  version: string;
  kernelPath: string;
  initrdPath: string;
  /** Where the answer is kept until the host boots again. */
  answerPath: string;
}

/**
 * Whether a guest really runs under KVM: boots the guest kernel and init, which says a word and
 * powers off. /dev/kvm alone proves nothing: there are hosts that have it and never run a guest.
 */
export async function probeKvm(settings: KvmProbeSettings): Promise<boolean> {
  try {
    await access('/dev/kvm', constants.R_OK | constants.W_OK);
    await access(settings.kernelPath, constants.R_OK);
    await access(settings.initrdPath, constants.R_OK);
  } catch {
    return false;
  }
  const bootId = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
  const known = await readAnswer(settings.answerPath);
  if (known?.bootId === bootId && known.version === settings.version) return known.works;
  const works = await guestSpeaks(settings);
  await mkdir(dirname(settings.answerPath), { recursive: true });
  const answer = JSON.stringify({ bootId, version: settings.version, works });
  await writeFile(`${settings.answerPath}.tmp`, answer);
  await rename(`${settings.answerPath}.tmp`, settings.answerPath);
  return works;
}

async function guestSpeaks(settings: KvmProbeSettings): Promise<boolean> {
  const machine = machineArguments('kvm', {
    ...settings,
    append: 'console=ttyS0 quiet panic=-1 pci=off -- probe',
  });
  try {
    const { stdout } = await runCommand(
      settings.program,
      [...machine, '-m', '128M', '-sandbox', 'on,spawn=deny', '-serial', 'stdio'],
      { timeoutMs: probeTimeoutMs },
    );
    return stdout.includes(marker);
  } catch {
    return false;
  }
}

async function readAnswer(path: string): Promise<z.infer<typeof answerSchema> | undefined> {
  try {
    return answerSchema.safeParse(JSON.parse(await readFile(path, 'utf8'))).data;
  } catch {
    return undefined;
  }
}
