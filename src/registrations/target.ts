import { HoldfastError } from '../domain/errors.ts'

/** Whether a webhook to either URL reaches the same source: `/v1` and a trailing slash make no difference, nor does a query. */
export function isSameTarget(one: string, other: string): boolean {
  const target = targetOf(one)
  return target !== undefined && target === targetOf(other)
}

function targetOf(text: string): string | undefined {
  const url = URL.parse(text)
  if (url === null) return undefined
  const path = url.pathname.replace(/\/$/, '').replace(/\/v1(\/webhooks\/[^/]+)$/, '$1')
  return `${url.protocol}//${url.host}${path}`
}

/** As it goes on the wire. Throws `invalid_request` unless a webhook can be sent there. */
export function checkedUrl(text: string): string {
  const trimmed = text.trim()
  // `URL` would leave some of these out, and so change what was meant.
  if (/[\s\p{Cc}\p{Cs}]/u.test(trimmed)) throw invalid('url holds whitespace or a control character')
  const url = URL.parse(trimmed)
  if (url === null || !/^https?:$/.test(url.protocol)) throw invalid('url is not an http(s) URL')
  if (url.username !== '' || url.password !== '') throw invalid('url holds a user name or a password')
  return url.href
}

const invalid = (message: string): HoldfastError => new HoldfastError('invalid_request', message)
