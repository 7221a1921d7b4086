import type { ApiRequest } from '../domain/outbound.ts'
import type { Registration, RegistrationWish } from '../domain/provider.ts'
import { failed, notMade } from './failures.ts'
import { checkedRegistration } from './registration.ts'
import type { RegistrableSource, Registry } from './source.ts'

/** Modules may be the user's own: what they give is nothing until it is seen to be what it should be. */

const METHODS: ReadonlySet<unknown> = new Set<ApiRequest['method']>(['GET', 'POST', 'PATCH', 'PUT', 'DELETE'])

/**
 * What `check` makes of what a module gives; undefined also where either throws. A promise is no answer, and its failure
 * is nobody's.
 */
export function given<Value>(
  give: () => unknown,
  check: (value: unknown) => Value | undefined,
): Exclude<Value, undefined> | undefined {
  try {
    return check(quiet(give())) as Exclude<Value, undefined> | undefined
  } catch {
    return undefined
  }
}

export const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined)

/** Throws `not_configured` where the module does. */
export function made(source: RegistrableSource, make: () => unknown): unknown {
  try {
    return quiet(make())
  } catch (error) {
    throw notMade(source, error)
  }
}

/** Throws `provider_failed` for what cannot be sent. */
export function sendable(source: RegistrableSource, request: unknown): ApiRequest {
  const checked = given(
    () => request,
    (value) => (isRequest(value) ? value : undefined),
  )
  if (checked !== undefined) return checked
  throw failed(source, 'its module made no request that can be sent')
}

function isRequest(value: unknown): value is ApiRequest {
  if (typeof value !== 'object' || value === null) return false
  const { method, path, query, headers, json, form } = value as Record<keyof ApiRequest, unknown>
  if (!METHODS.has(method) || typeof path !== 'string' || !path.startsWith('/')) return false
  if (![query, headers].every((part) => part === undefined || (typeof part === 'object' && part !== null))) return false
  if (form !== undefined && !(Array.isArray(form) && form.every(Array.isArray))) return false
  return json === undefined || typeof JSON.stringify(json) === 'string'
}

export interface Page {
  readonly items: readonly Registration[]
  readonly next: string | undefined
}

/** Leaves out what is no registration that could be used: another's oddity keeps nobody from his own. */
export function readPage({ source, api }: Registry, answer: unknown, after: string | undefined): Page | undefined {
  return given(
    () => api.readList(answer, after),
    (page) => {
      const { items, next } = (page ?? {}) as { readonly items?: unknown; readonly next?: unknown }
      if (!Array.isArray(items) || !(next === undefined || next === null || typeof next === 'string')) return undefined
      const registrations = items.map((item) => registrationIn(source, () => item))
      return { items: registrations.filter((each) => each !== undefined), next: next ?? undefined }
    },
  )
}

/** `asked`: what the answer need not repeat. */
export function readOne({ source, api }: Registry, answer: unknown, asked: RegistrationWish): Registration | undefined {
  // A module that goes by the answer alone takes no second argument.
  const read: (answer: unknown, asked: RegistrationWish) => unknown = api.read
  return registrationIn(source, () => read(answer, asked))
}

const registrationIn = (source: RegistrableSource, give: () => unknown): Registration | undefined =>
  given(give, (value) => checkedRegistration(source, value))

function quiet(value: unknown): unknown {
  if (value instanceof Promise) value.catch(() => {})
  return value
}
