import type { ApiRequest, ReadyRequest } from '../domain/outbound.ts'
import type { Registration } from '../domain/provider.ts'
import type { AnswerFunction, ApiFunction } from './provider-readers.ts'

/**
 * Turns the results of a module's code into plain values with only the fields that the service needs. This runs in the thread of
 * that code, because a getter of a result is code of the module too.
 */

/** The most values that a result may contain. Copying more between threads would take too long. */
export const MAX_RESULT_VALUES = 16_384

/** The most characters of a request's path, query and headers as JSON. */
const MAX_HEAD_LENGTH = 65_536

/** Whether a value holds more than `max` values: itself, and each element and member of its arrays and objects. */
export function hasMoreValues(value: unknown, max: number): boolean {
  let count = 0
  const waiting: unknown[] = [value]
  while (waiting.length > 0) {
    const here = waiting.pop()
    if (++count > max) return true
    if (typeof here !== 'object' || here === null || ArrayBuffer.isView(here)) continue
    const inner = Object.values(here)
    if (count + waiting.length + inner.length > max) return true
    waiting.push(...inner)
  }
  return false
}

/** The plain value for the result of a function of a module's `api`; null: a request or header set that cannot be sent. */
export function plainResult(name: ApiFunction | AnswerFunction, given: unknown): unknown {
  // These functions are synchronous. A promise is not a result, and its rejection must not end the process.
  if (given instanceof Promise) given.catch(() => {})
  if (given === undefined) return undefined
  switch (name) {
    case 'headers':
      return headersIn(given)
    case 'tasks.submit.taskId':
    case 'registrations.secret':
    case 'registrations.eventOf':
      return typeof given === 'string' || typeof given === 'number' ? given : undefined
    case 'registrations.readList':
      return pageIn(given)
    case 'registrations.read':
      return registrationIn(given)
    case 'tasks.poll':
    case 'tasks.submit.request':
    case 'registrations.create':
    case 'registrations.list':
    case 'registrations.remove':
    case 'registrations.update':
      return requestIn(given as ApiRequest)
  }
}

/** A value that is not a string becomes null. */
function headersIn(given: unknown): unknown {
  if (typeof given !== 'object' || given === null) return null
  const texts = Object.entries(given).map(([name, value]) => [name, typeof value === 'string' ? value : null])
  return Object.fromEntries(texts)
}

function pageIn(given: unknown): unknown {
  const { items, next } = (given ?? {}) as { readonly items?: unknown; readonly next?: unknown }
  const isNext = typeof next === 'string' || next === undefined || next === null
  return { items: Array.isArray(items) ? items.map(registrationIn) : undefined, next: isNext ? next : false }
}

/** Copies the known fields only: a module may give more. Undefined: the value is not a registration. */
export function registrationIn(given: unknown): Registration | undefined {
  try {
    const { id, url, events, active } = given as { readonly [Field in keyof Registration]?: unknown }
    if (typeof id !== 'string' || typeof url !== 'string' || typeof active !== 'boolean') return undefined
    if (!Array.isArray(events) || !events.every((event) => typeof event === 'string')) return undefined
    return { id, url, events: [...events], active }
  } catch {
    return undefined
  }
}

/** Serializes the body here, in the module's thread, because it may be large. */
function requestIn(given: ApiRequest): ReadyRequest | null {
  try {
    const { method, path, query, headers, json, form } = given
    if (JSON.stringify([path, query, headers]).length > MAX_HEAD_LENGTH) return null
    const jsonText: unknown = json === undefined ? undefined : JSON.stringify(json)
    if (json !== undefined && typeof jsonText !== 'string') return null
    const formText = form === undefined ? undefined : formOf(form)
    const parts = { query, headers, formText, jsonText }
    return { method, path, ...Object.fromEntries(Object.entries(parts).filter(([, part]) => part !== undefined)) }
  } catch {
    return null
  }
}

/** Throws if the value is not a list of name-value pairs. */
const formOf = (form: NonNullable<ApiRequest['form']>): string =>
  new URLSearchParams(form.map(([name, value]) => [name, value])).toString()
