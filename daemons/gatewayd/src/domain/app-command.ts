import { IngotError } from '@ingot/daemon-kit';
import type { ImageConfig, Spec } from './deployment.ts';

/** Where an app listens that neither the customer nor the image says. */
const defaultPort = 8080;

/** What PID 1 of the guest starts. */
export interface AppCommand {
  args: string[];
  /** The image's, then PORT, then the customer's: a later one wins. */
  env: string[];
  workingDir: string;
  user: string;
  port: number;
}

/**
 * Puts together what the image says and what the customer asked for.
 *
 * @throws IngotError image_no_command when the image has neither entrypoint nor command.
 */
export function appCommand(spec: Spec, image: ImageConfig): AppCommand {
  const args = [...image.entrypoint, ...image.cmd];
  if (args.length === 0) {
    throw new IngotError('image_no_command', `${spec.image} has no entrypoint and no command`, {
      remedy: 'give the image an ENTRYPOINT or a CMD and deploy it again',
    });
  }
  const port = spec.port || Math.min(...image.exposedPorts, Infinity);
  const known = Number.isFinite(port) ? port : defaultPort;
  return {
    args,
    env: [...image.env, `PORT=${known}`, ...spec.env],
    workingDir: image.workingDir,
    user: image.user,
    port: known,
  };
}
