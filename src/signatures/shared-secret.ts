import { hash, timingSafeEqual } from 'node:crypto'
import { Type } from '@sinclair/typebox'
import { scalarIn } from '../domain/json-scan.ts'
import type { Written } from '../domain/provider.ts'
import type { SignedRequest, VerificationFailure, Verifier } from '../domain/verifier.ts'
import { closed, HeaderName, type SignatureScheme, type SignedParts, Text } from './signature-scheme.ts'

const schema = Type.Object(
  {
    scheme: Type.Literal('shared-secret'),
    /**
     * Where the request has the secret: in a header; as the password of HTTP Basic, with any user name; in the query; or at a dotted
     * path in the JSON body. The body is then searched before it is verified.
     */
    from: Type.Union([
      Type.Object({ header: HeaderName, prefix: Type.Optional(Text) }, closed),
      Type.Object({ basic: Type.Literal('password') }, closed),
      Type.Object({ query: Text }, closed),
      Type.Object({ body: Text }, closed),
    ]),
  },
  closed,
)

/** The request contains the secret itself. */
export interface SharedSecretScheme extends Written<typeof schema> {}

type FoundSecret = { readonly secret: string } | VerificationFailure

const missing: FoundSecret = { ok: false, reason: 'missing' }

/**
 * Compares digests, so that the time of the comparison reveals neither the secret's bytes nor its length. An empty secret verifies
 * nothing.
 */
function compile(scheme: SharedSecretScheme, secrets: readonly string[]): Verifier {
  const digests = secrets.map((secret) =>
    secret === '' ? undefined : hash('sha256', Buffer.from(secret, 'utf8'), 'buffer'),
  )
  const verify: Verifier['verify'] = (request) => {
    const found = findSecret(scheme.from, request)
    if (!('secret' in found)) return found
    // Node decodes header bytes as Latin-1; a secret in the query or in the body is decoded as UTF-8.
    const bytes = Buffer.from(found.secret, 'header' in scheme.from ? 'latin1' : 'utf8')
    const sent = hash('sha256', bytes, 'buffer')
    // The place of the secret that matched, from 1; 0: none.
    let matched = 0
    for (const [at, digest] of digests.entries()) {
      if (digest !== undefined) matched = timingSafeEqual(digest, sent) && matched === 0 ? at + 1 : matched
    }
    return matched > 0 ? { ok: true, secret: matched } : { ok: false, reason: 'mismatch' }
  }
  // Only a secret in the body needs the body.
  return 'body' in scheme.from
    ? { verify, precheck: () => undefined }
    : {
        verify,
        precheck: (request) => {
          const verification = verify({ ...request, body: NO_BODY }, 0)
          return verification.ok ? { ok: true } : verification
        },
      }
}

const NO_BODY = Buffer.alloc(0)

function findSecret(from: SharedSecretScheme['from'], { headers, query, body }: SignedRequest): FoundSecret {
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

/** RFC 7617: `Basic base64(user:password)`; `Basic` in upper or lower case. */
function basicPassword(authorization: string | undefined): FoundSecret {
  if (authorization === undefined) return missing
  const credentials = /^basic +([A-Za-z0-9+/]+={0,2})$/i.exec(authorization)?.[1]
  const pair = credentials === undefined ? '' : Buffer.from(credentials, 'base64').toString('utf8')
  const colon = pair.indexOf(':')
  return colon < 0 ? { ok: false, reason: 'malformed' } : { secret: pair.slice(colon + 1) }
}

function sign({ from }: SharedSecretScheme, secret: string): SignedParts {
  if ('header' in from) {
    // Node writes header text as Latin-1: one character for each byte of the secret's UTF-8.
    const bytes = Buffer.from(`${from.prefix ?? ''}${secret}`, 'utf8').toString('latin1')
    return { headers: { [from.header]: bytes }, query: '' }
  }
  if ('basic' in from)
    return { headers: { authorization: `Basic ${Buffer.from(`holdfast:${secret}`).toString('base64')}` }, query: '' }
  if ('query' in from) return { headers: {}, query: new URLSearchParams({ [from.query]: secret }).toString() }
  return { headers: {}, query: '' }
}

function secretHeaders({ from }: SharedSecretScheme): readonly string[] {
  if ('header' in from) return [from.header.toLowerCase()]
  return 'basic' in from ? ['authorization'] : []
}

export const sharedSecret = {
  name: 'shared-secret',
  schema,
  minKeyBytes: 1,
  faults: () => [],
  keyOf: (_scheme, secret) => Buffer.from(secret, 'utf8'),
  secretForm: () => 'text',
  secretHeaders,
  signsUrl: () => false,
  compile,
  sign,
  bodyFields: ({ from }, secret) => ('body' in from ? { [from.body]: secret } : {}),
} as const satisfies SignatureScheme<SharedSecretScheme>
