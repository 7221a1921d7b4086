import { HoldfastError } from '../domain/errors.ts'
import type { Registration } from '../domain/provider.ts'
import type { ConnectedSource } from '../domain/source.ts'
import type { SourceRegistration } from '../domain/webhook-manager.ts'
import { registrationIn } from '../pipeline/module-results.ts'

/** 1 to 256 characters, without line breaks, control and invisible characters, and halves of surrogate pairs. */
const ID = /^[^\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]{1,256}$/u

/** Undefined: the value is no usable registration. */
export function checkedRegistration(source: ConnectedSource, value: unknown): Registration | undefined {
  const registration = registrationIn(value)
  return registration !== undefined && isUsableId(source, registration.id) ? registration : undefined
}

/** Throws `registration_not_found` for a text that cannot be the id of a registration. */
export function checkedId(source: ConnectedSource, id: string): string {
  if (isUsableId(source, id)) return id
  throw notFound(source, id)
}

export const notFound = ({ name, redact }: ConnectedSource, id: string): HoldfastError =>
  new HoldfastError('registration_not_found', redact(`source ${name} has no registration ${id.toWellFormed()}`))

/** False for an id that would change the URL's path, also escaped, and for one that contains a key or a secret: ids are shown and logged. */
const isUsableId = ({ redact }: ConnectedSource, id: string): boolean =>
  ID.test(id) && redact(id) === id && !id.split(/[/\\]/).some((part) => /^\.{0,2}$/.test(part))

/** The registration as callers see it: without keys and secrets, which a provider may repeat in any field. */
export const shownRegistration = (
  source: ConnectedSource,
  { id, url, events, active }: Registration,
): SourceRegistration => ({
  source: source.name,
  id: source.redact(id),
  url: source.redact(url),
  events: events.map((event) => source.redact(event)),
  active,
  ours: source.url !== undefined && isSameTarget(url, source.url),
})

/** The URL at which the source receives webhooks. Throws `not_configured` if `PUBLIC_URL` is not set. */
export function ownUrl({ url, name }: ConnectedSource): string {
  if (url !== undefined) return url
  throw new HoldfastError('not_configured', `PUBLIC_URL is not set, so that source ${name} has no URL to register`)
}

/** Whether webhooks to both URLs reach the same source: `/v1`, a trailing slash and the query make no difference. */
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

/** The URL in its normal form. Throws `invalid_request` if no webhook can be sent to it. */
export function checkedUrl(text: string): string {
  const trimmed = text.trim()
  // `URL` would remove some of these characters without an error.
  if (/[\s\p{Cc}\p{Cs}]/u.test(trimmed)) throw invalid('url holds whitespace or a control character')
  const url = URL.parse(trimmed)
  if (url === null || !/^https?:$/.test(url.protocol)) throw invalid('url is not an http(s) URL')
  if (url.username !== '' || url.password !== '') throw invalid('url holds a user name or a password')
  return url.href
}

const invalid = (message: string): HoldfastError => new HoldfastError('invalid_request', message)
