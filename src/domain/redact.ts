const REPLACEMENT = '[redacted]'

/** Takes these out of a text, the longest first; of a `whsec_…` also what stands after the prefix. */
export function redactor(secrets: readonly (string | undefined)[]): (text: string) => string {
  const known = secrets
    .flatMap((secret) => [secret, secret?.startsWith('whsec_') === true ? secret.slice('whsec_'.length) : undefined])
    .filter((secret): secret is string => secret !== undefined && secret !== '')
    .toSorted((one, other) => other.length - one.length)
  return (text) => known.reduce((rest, secret) => rest.replaceAll(secret, REPLACEMENT), text)
}
