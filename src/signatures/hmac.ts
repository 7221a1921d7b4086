import { timingSafeEqual } from 'node:crypto'
import type { Headers } from '../domain/event.ts'
import { scalarIn } from '../domain/json-scan.ts'
import type { HmacScheme } from '../domain/provider.ts'
import type { Precheck, Refused, Signature, SignedRequest, Verdict, Verifier } from '../domain/verifier.ts'
import { type Candidates, candidatesIn } from './candidates.ts'
import { decodeKey } from './secrets.ts'
import { compileTemplate, digest } from './template.ts'

type Window = NonNullable<HmacScheme['timestamp']>

const ok: Verdict = { ok: true }
const missing: Refused = { ok: false, reason: 'missing' }
const malformed: Refused = { ok: false, reason: 'malformed' }
const mismatch: Refused = { ok: false, reason: 'mismatch' }

/** What a request's headers claim. */
interface Claim {
  readonly candidates: Candidates
  readonly id: string
  /** As it was sent; empty where it stands in the body, in which it is not looked for before that is proven. */
  readonly timestamp: string
}

/**
 * A verifier for one source. Every secret is tried against every candidate, whether or not one has matched, so that time
 * tells nothing about either. A secret that gives no key verifies nothing. Throws `TypeError` on a template it cannot fill.
 */
export function compileHmac(scheme: HmacScheme, secrets: readonly string[], url: string | undefined): Signature {
  const keys = secrets.flatMap((secret) => decodeKey(scheme.key, secret) ?? []).filter(({ length }) => length > 0)
  const pieces = compileTemplate(scheme.signed)
  const window = scheme.timestamp
  const claimOf = rememberLast(compileClaim(scheme))

  const verify: Verifier = (request, nowMs) => {
    const claim = claimOf(request.headers)
    if ('reason' in claim) return claim
    const { candidates, id, timestamp } = claim
    const parts = { id, timestamp, url: url ?? '', headers: request.headers, body: request.body }
    let matched = false
    for (const key of keys) {
      const expected = digest(scheme.algorithm, key, pieces, parts)
      for (const signature of candidates.signatures) {
        matched = (signature.length === expected.length && timingSafeEqual(signature, expected)) || matched
      }
    }
    if (window !== undefined && !('body' in window.from) && timeOf(timestamp, window.unit) === undefined)
      return malformed
    if (!matched) return mismatch
    return window === undefined ? ok : freshness(window, timestamp, request, nowMs)
  }
  /** Finds what the headers lack of a signed request, without looking at the signature itself. */
  const precheck: Precheck = ({ headers }) => {
    const claim = claimOf(headers)
    return 'reason' in claim ? claim : ok
  }
  return { verify, precheck }
}

/** Most requests are verified right after their headers were looked at: those are taken apart once. */
function rememberLast<Result>(find: (headers: Headers) => Result): (headers: Headers) => Result {
  let last: { readonly headers: Headers; readonly found: Result } | undefined
  return (headers) => {
    if (last?.headers !== headers) last = { headers, found: find(headers) }
    return last.found
  }
}

function compileClaim(scheme: HmacScheme): (headers: Headers) => Claim | Refused {
  const window = scheme.timestamp
  const timestampLabel = window !== undefined && 'label' in window.from ? window.from.label : undefined
  return (headers) => {
    const header = firstHeader(headers, scheme.signature.header)
    if (header === undefined) return missing
    const candidates = candidatesIn(header, scheme.signature, timestampLabel)
    if (candidates === undefined) return malformed
    const id = scheme.id === undefined ? '' : firstHeader(headers, scheme.id)
    const timestamp = sentTimestamp(window, headers, candidates)
    if (id === undefined || timestamp === undefined || candidates.signatures.length === 0) return missing
    return { candidates, id, timestamp }
  }
}

function firstHeader(headers: Headers, names: string | readonly string[]): string | undefined {
  if (typeof names === 'string') return headers[names]
  for (const name of names) if (headers[name] !== undefined) return headers[name]
  return undefined
}

function sentTimestamp(window: Window | undefined, headers: Headers, { timestamp }: Candidates): string | undefined {
  if (window === undefined || 'body' in window.from) return ''
  return 'header' in window.from ? firstHeader(headers, window.from.header) : timestamp
}

function freshness(window: Window, sent: string, { body }: SignedRequest, nowMs: number): Verdict {
  let text = sent
  if ('body' in window.from) {
    const found = scalarIn(body, window.from.body)
    const value = found.ok ? found.value : undefined
    if (typeof value !== 'string' && typeof value !== 'number') return missing
    text = String(value)
  }
  const sentMs = timeOf(text, window.unit)
  if (sentMs === undefined) return malformed
  const aheadMs = sentMs - nowMs
  const isStale =
    -aheadMs > window.pastSeconds * 1000 || (window.futureSeconds !== null && aheadMs > window.futureSeconds * 1000)
  return isStale ? { ok: false, reason: 'stale', aheadMs } : { ok: true, aheadMs }
}

/** With its offset: a time without one would be read by this machine's time zone. */
const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/i

/** Milliseconds since the epoch; undefined for anything that is not wholly a time of the unit. */
function timeOf(text: string, unit: Window['unit']): number | undefined {
  if (unit === 'rfc3339') {
    const ms = RFC3339.test(text) ? Date.parse(text) : Number.NaN
    return Number.isNaN(ms) ? undefined : ms
  }
  if (!/^\d{1,15}$/.test(text)) return undefined
  return Number(text) * (unit === 's' ? 1000 : 1)
}
