import { hash, timingSafeEqual } from 'node:crypto'
import { scalarIn } from '../domain/json-scan.ts'
import type { SharedSecretScheme } from '../domain/provider.ts'
import type { Refused, Signature, SignedRequest, Verifier } from '../domain/verifier.ts'

type Found = { readonly secret: string } | Refused

const missing: Found = { ok: false, reason: 'missing' }

/**
 * A verifier for a secret that is sent as it is. Digests are compared, so that time tells neither its bytes nor its
 * length. An empty secret verifies nothing.
 */
export function compileSharedSecret(scheme: SharedSecretScheme, secrets: readonly string[]): Signature {
  const digests = secrets
    .filter((secret) => secret !== '')
    .map((secret) => hash('sha256', Buffer.from(secret, 'utf8'), 'buffer'))
  const verify: Verifier = (request) => {
    const found = findSecret(scheme.from, request)
    if (!('secret' in found)) return found
    // Node hands header bytes over as Latin-1; a secret in a query or body is text already.
    const bytes = Buffer.from(found.secret, 'header' in scheme.from ? 'latin1' : 'utf8')
    const given = hash('sha256', bytes, 'buffer')
    let matched = false
    for (const digest of digests) matched = timingSafeEqual(digest, given) || matched
    return matched ? { ok: true } : { ok: false, reason: 'mismatch' }
  }
  // A secret that does not stand in the body needs none to be verified.
  return 'body' in scheme.from
    ? { verify, precheck: () => undefined }
    : { verify, precheck: (request) => verify({ ...request, body: NO_BODY }, 0) }
}

const NO_BODY = Buffer.alloc(0)

function findSecret(from: SharedSecretScheme['from'], { headers, query, body }: SignedRequest): Found {
  if ('header' in from) {
    const value = headers[from.header]
    if (value === undefined) return missing
    if (from.prefix === undefined) return { secret: value }
    return value.startsWith(from.prefix)
      ? { secret: value.slice(from.prefix.length) }
      : { ok: false, reason: 'malformed' }
  }
  if ('basic' in from) return basicPassword(headers.authorization)
  if ('query' in from) {
    const value = new URLSearchParams(query).get(from.query)
    return value === null ? missing : { secret: value }
  }
  const found = scalarIn(body, from.body)
  if (!found.ok) return { ok: false, reason: 'unreadable' }
  return typeof found.value === 'string' ? { secret: found.value } : missing
}

/** RFC 7617: `Basic base64(user:password)`; the scheme's name in either case. */
function basicPassword(authorization: string | undefined): Found {
  if (authorization === undefined) return missing
  const credentials = /^basic +([A-Za-z0-9+/]+={0,2})$/i.exec(authorization)?.[1]
  const pair = credentials === undefined ? '' : Buffer.from(credentials, 'base64').toString('utf8')
  const colon = pair.indexOf(':')
  return colon < 0 ? { ok: false, reason: 'malformed' } : { secret: pair.slice(colon + 1) }
}
