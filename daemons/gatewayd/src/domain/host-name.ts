/** Whom a request is for: the API and the dashboard, or a deployment. */
export type Target = { kind: 'gateway' } | { kind: 'deployment'; name: string };

/**
 * Reads a Host header. Everything below the domain belongs to customers, whether it exists or
 * not; everything else is the gateway itself.
 *
 * @param host - the header's value, with or without a port.
 * @param domain - such as "localhost".
 */
export function targetOf(host: string, domain: string): Target {
  const name = host.toLowerCase().replace(/:\d*$/, '').replace(/\.$/, '');
  const suffix = `.${domain}`;
  if (!name.endsWith(suffix)) return { kind: 'gateway' };
  return { kind: 'deployment', name: name.slice(0, -suffix.length) };
}
