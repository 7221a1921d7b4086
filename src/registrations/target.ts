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

/** Throws `invalid_request` unless a webhook can be sent there. */
export function checkedUrl(text: string): string {
  const url = URL.parse(text)
  if (url !== null && (url.protocol === 'https:' || url.protocol === 'http:')) return text
  throw new HoldfastError('invalid_request', 'url is not an http(s) URL')
}
