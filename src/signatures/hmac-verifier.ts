import { timingSafeEqual } from 'node:crypto'
import type { Headers } from '../domain/event.ts'
import { scalarIn } from '../domain/json-scan.ts'
import { MAX_SIGNATURE_CANDIDATES } from '../domain/limits.ts'
import type { SignedRequest, Verification, VerificationFailure, Verifier } from '../domain/verifier.ts'
import type { HmacScheme } from './hmac.ts'
import { compileTemplate, digest } from './hmac-template.ts'

type Window = NonNullable<HmacScheme['timestamp']>

const ok: Verification = { ok: true }
const missing: VerificationFailure = { ok: false, reason: 'missing' }
const malformed: VerificationFailure = { ok: false, reason: 'malformed' }
const mismatch: VerificationFailure = { ok: false, reason: 'mismatch' }

/** The signatures, id and timestamp in a request's headers, not verified yet. */
interface Claim {
  readonly candidates: Candidates
  readonly id: string
  /** Unparsed. Empty if the timestamp is in the body, which is not parsed before its signature is verified. */
  readonly timestamp: string
}

/**
 * A verifier for one source. It compares every signature with every key, also after one has matched, so that the time that it takes
 * reveals nothing about them. An empty key verifies nothing. Throws `TypeError` for a template with faults.
 */
export function compileHmac(scheme: HmacScheme, keys: readonly Buffer[], url: string | undefined): Verifier {
  const pieces = compileTemplate(scheme.signed)
  const window = scheme.timestamp
  const claimOf = rememberLast(compileClaim(scheme))

  const verify: Verifier['verify'] = (request, nowMs) => {
    const claim = claimOf(request.headers)
    if ('reason' in claim) return claim
    const { candidates, id, timestamp } = claim
    const parts = { id, timestamp, url: url ?? '', headers: request.headers, body: request.body }
    // The place of the first key that matched, from 1; 0: none.
    let matched = 0
    for (const [at, key] of keys.entries()) {
      if (key.length === 0) continue
      const expected = digest(scheme.algorithm, key, pieces, parts)
      for (const signature of candidates.signatures) {
        const isEqual = signature.length === expected.length && timingSafeEqual(signature, expected)
        matched = isEqual && matched === 0 ? at + 1 : matched
      }
    }
    if (window !== undefined && !('body' in window.from) && timeOf(timestamp, window.unit) === undefined)
      return malformed
    if (matched === 0) return mismatch
    const verified = window === undefined ? ok : freshness(window, timestamp, request, nowMs)
    return verified.ok ? { ...verified, secret: matched } : verified
  }
  /** Finds missing and malformed headers. Does not check the signature. */
  const precheck: Verifier['precheck'] = ({ headers }) => {
    const claim = claimOf(headers)
    return 'reason' in claim ? claim : ok
  }
  return { verify, precheck }
}

/** Remembers the last result: `verify` gets the headers that `precheck` has just parsed. */
function rememberLast<Result>(find: (headers: Headers) => Result): (headers: Headers) => Result {
  let last: { readonly headers: Headers; readonly found: Result } | undefined
  return (headers) => {
    if (last?.headers !== headers) last = { headers, found: find(headers) }
    return last.found
  }
}

function compileClaim(scheme: HmacScheme): (headers: Headers) => Claim | VerificationFailure {
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

function freshness(window: Window, sent: string, { body }: SignedRequest, nowMs: number): Verification {
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

/** The offset is required: without one, `Date.parse` would assume the time zone of this machine. */
const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/i

/** Milliseconds since the epoch; undefined if the text is not a time in this unit. */
function timeOf(text: string, unit: Window['unit']): number | undefined {
  if (unit === 'rfc3339') {
    const ms = RFC3339.test(text) ? Date.parse(text) : Number.NaN
    return Number.isNaN(ms) ? undefined : ms
  }
  if (!/^\d{1,15}$/.test(text)) return undefined
  return Number(text) * (unit === 's' ? 1000 : 1)
}

interface Candidates {
  /** The decoded signatures that have an accepted label. */
  readonly signatures: readonly Buffer[]
  /** The first value with the timestamp's label, if the signature header contains the timestamp. */
  readonly timestamp: string | undefined
}

/**
 * Parses a signature header: a list of entries, each with or without a label. Node joins a header that was sent several times by
 * ", ". Undefined if there are too many entries, or if entries have an accepted label but none of them can be decoded.
 */
function candidatesIn(
  header: string,
  form: HmacScheme['signature'],
  timestampLabel: string | undefined,
): Candidates | undefined {
  const { encoding, labelSeparator } = form
  const signatures: Buffer[] = []
  let timestamp: string | undefined
  let entries = 0
  let isUnreadable = false
  for (const text of entriesIn(header, form.separator)) {
    const entry = text.trim()
    if (entry === '') continue
    const at = labelSeparator === undefined ? -1 : entry.indexOf(labelSeparator)
    const label = at < 0 ? '' : entry.slice(0, at)
    const value = at < 0 ? entry : entry.slice(at + (labelSeparator?.length ?? 0))
    if (at >= 0 && label === timestampLabel) {
      timestamp ??= value
      continue
    }
    if (++entries > MAX_SIGNATURE_CANDIDATES) return undefined
    if (labelSeparator !== undefined && !form.labels?.includes(label)) continue
    const signature = decodeSignature(value, encoding)
    if (signature === undefined) isUnreadable = true
    else signatures.push(signature)
  }
  return isUnreadable && signatures.length === 0 ? undefined : { signatures, timestamp }
}

/** One timestamp, the allowed candidates, and one more candidate, which shows that there are too many. */
const MAX_ENTRIES = MAX_SIGNATURE_CANDIDATES + 2

function entriesIn(header: string, separator: string | undefined): readonly string[] {
  const lines = header.includes(', ') ? header.split(', ', MAX_ENTRIES) : [header]
  if (separator === undefined) return lines
  return lines.length === 1
    ? header.split(separator, MAX_ENTRIES)
    : lines.flatMap((line) => line.split(separator, MAX_ENTRIES))
}

/**
 * Strict: refuses characters that `Buffer` would skip, and in base64 bits that it would drop, so that a signature has only one valid
 * text. Hex may be in upper or lower case.
 */
function decodeSignature(text: string, encoding: 'hex' | 'base64'): Buffer | undefined {
  const bytes = Buffer.from(text, encoding)
  const isCanonical = bytes.toString(encoding) === (encoding === 'hex' ? text.toLowerCase() : text)
  return isCanonical && bytes.length > 0 ? bytes : undefined
}
