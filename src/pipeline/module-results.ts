import type { ApiRequest, ReadyRequest } from '../domain/outbound.ts'
import type { Registration } from '../domain/provider.ts'
import type { AnswerFunction, ApiFunction } from './provider-readers.ts'

/**
 * What code of a module gave, as it is handed on: no more than is wanted there, and as plain values. All of this runs where
 * that code does, since a getter of what it gave is its code too.
 */

/** Values of a result of which the body has fewer; more would take too long to take over. */
export const MAX_RESULT_VALUES = 16_384

/** Characters of a request beside its body. */
const MAX_HEAD_LENGTH = 65_536

/** Whether something holds more values than that, itself and each in arrays and objects counted once. */
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

/** Of what a function of a module's API gave; null: nothing that can be sent. */
export function plainResult(name: ApiFunction | AnswerFunction, given: unknown): unknown {
  // A promise is no answer, and its failure is nobody's.
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

/** What is no text is null. */
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

/** Field by field: a module may give more than is to be known. Undefined: it is no registration. */
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

/** What is sent as a body is made text here, however large it is. */
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

/** Throws where it is none. */
const formOf = (form: NonNullable<ApiRequest['form']>): string =>
  new URLSearchParams(form.map(([name, value]) => [name, value])).toString()
