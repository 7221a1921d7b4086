import type { Headers } from '../domain/event.ts'
import type { HmacScheme, Scheme, SharedSecretScheme } from '../domain/provider.ts'
import { decodeKey } from './secrets.ts'
import { compileTemplate, digest } from './template.ts'

export interface Signable {
  readonly id: string
  readonly body: Buffer
  /** Headers that the scheme may sign, e.g. those that carry fields of the event. */
  readonly headers?: Headers
  /** The public URL, for schemes that sign it. */
  readonly url?: string
  readonly nowMs: number
}

export interface Signature {
  readonly headers: Readonly<Record<string, string>>
  /** Query string without its `?`; empty unless the scheme puts its secret there. */
  readonly query: string
}

/**
 * What the provider itself would send along, for samples and tests. What a scheme expects inside the body (a timestamp, a
 * secret) is the caller's to put there. Throws `TypeError` on a secret that is not of the scheme's form.
 */
export const signRequest = (scheme: Scheme, secret: string, signable: Signable): Signature =>
  scheme.scheme === 'hmac' ? signHmac(scheme, secret, signable) : sendSecret(scheme, secret)

const firstOf = (names: string | readonly string[]): string => (typeof names === 'string' ? names : (names[0] ?? ''))

function signHmac(
  scheme: HmacScheme,
  secret: string,
  { id, body, headers = {}, url = '', nowMs }: Signable,
): Signature {
  const key = decodeKey(scheme.key, secret)
  if (key === undefined) throw new TypeError('the secret is not of the form that the scheme asks for')
  const { signature: form, timestamp: window } = scheme
  const timestamp = window === undefined ? '' : formatTime(nowMs, window.unit)
  const parts = { id, timestamp, url, headers, body }
  const value = digest(scheme.algorithm, key, compileTemplate(scheme.signed), parts).toString(form.encoding)

  const entries = [
    form.labelSeparator === undefined ? value : `${form.labels?.[0] ?? ''}${form.labelSeparator}${value}`,
  ]
  const sent: Record<string, string> = {}
  if (scheme.id !== undefined) sent[firstOf(scheme.id)] = id
  if (window !== undefined && 'header' in window.from) sent[firstOf(window.from.header)] = timestamp
  if (window !== undefined && 'label' in window.from)
    entries.unshift(`${window.from.label}${form.labelSeparator ?? ''}${timestamp}`)
  sent[firstOf(form.header)] = entries.join(form.separator ?? '')
  return { headers: sent, query: '' }
}

function formatTime(nowMs: number, unit: 's' | 'ms' | 'rfc3339'): string {
  if (unit === 'rfc3339') return new Date(nowMs).toISOString()
  return String(unit === 's' ? Math.floor(nowMs / 1000) : nowMs)
}

function sendSecret({ from }: SharedSecretScheme, secret: string): Signature {
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
