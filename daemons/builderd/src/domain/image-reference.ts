import { IngotError } from '@ingot/daemon-kit';

/** Which image, in which registry; as the distribution project's reference grammar reads it. */
export interface ImageReference {
  /** "host" or "host:port"; docker.io when the text names none. */
  readonly registry: string;
  readonly repository: string;
  /** "latest" when the text has neither tag nor digest; ignored when there is a digest. */
  readonly tag: string;
  /** "sha256:…" when the text pins one. */
  readonly digest: string | undefined;
}

// The grammar of github.com/distribution/reference, reference.go and regexp.go.
const label = '(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])';
const host = `(?:${label}(?:\\.${label})*|\\[[a-fA-F0-9:]+\\])`;
const component = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*';
const registryPattern = new RegExp(`^${host}(?::[0-9]{1,5})?$`);
const repositoryPattern = new RegExp(`^${component}(?:/${component})*$`);
const tagPattern = /^[\w][\w.-]{0,127}$/;
const digestPattern = /^sha256:[a-f0-9]{64}$/;
const maxNameChars = 255;
const defaultRegistry = 'docker.io';

/**
 * Reads what a user writes after `--image`.
 *
 * @throws IngotError invalid_argument saying which part is wrong.
 */
export function parseImageReference(text: string): ImageReference {
  const at = text.indexOf('@');
  const digest = at === -1 ? undefined : text.slice(at + 1);
  const named = at === -1 ? text : text.slice(0, at);
  // A colon before the last slash belongs to a port.
  const colon = named.indexOf(':', named.lastIndexOf('/') + 1);
  const tag = colon === -1 ? 'latest' : named.slice(colon + 1);
  const { registry, repository } = splitRegistry(colon === -1 ? named : named.slice(0, colon));

  if (!registryPattern.test(registry)) refuse(text, `"${registry}" is not a registry host`);
  if (!repositoryPattern.test(repository)) {
    const why = /[A-Z]/.test(repository)
      ? 'repository names are lower-case'
      : `"${repository}" is not a repository name`;
    refuse(text, why);
  }
  if (`${registry}/${repository}`.length > maxNameChars) refuse(text, 'the name is too long');
  if (!tagPattern.test(tag)) refuse(text, `"${tag}" is not a tag`);
  if (digest !== undefined && !digestPattern.test(digest)) {
    refuse(text, `"${digest}" is not a sha256 digest`);
  }
  return { registry, repository, tag, digest };
}

/** The image at one digest, as `registry/repository@sha256:…`. */
export function resolvedName(reference: ImageReference, digest: string): string {
  return `${reference.registry}/${reference.repository}@${digest}`;
}

/** "nginx" is docker.io/library/nginx; a first part is a host when it looks like one. */
function splitRegistry(name: string): { registry: string; repository: string } {
  const slash = name.indexOf('/');
  const first = slash === -1 ? '' : name.slice(0, slash);
  const isHost = /[.:]/.test(first) || first === 'localhost' || first.toLowerCase() !== first;
  const registry = isHost && first !== 'index.docker.io' ? first : defaultRegistry;
  const rest = isHost ? name.slice(slash + 1) : name;
  const official = registry === defaultRegistry && !rest.includes('/');
  return { registry, repository: official ? `library/${rest}` : rest };
}

function refuse(text: string, why: string): never {
  throw new IngotError('invalid_argument', `"${text}" is not an image reference: ${why}`, {
    remedy: 'write it as [registry[:port]/]repository[:tag][@sha256:…]',
  });
}
