import { hash } from 'node:crypto'
import { toIso } from './clock.ts'
import type { EventFields, Headers } from './event.ts'
import { parseJson, valueAt } from './json.ts'
import { MAX_NAME_LENGTH } from './limits.ts'
import type { EventMap, Provider, Selector } from './provider.ts'

/** Authentic bytes, read: an event, or as much of one as could be made out and why it is no more. */
export type Reading =
  | { readonly ok: true; readonly fields: EventFields /** The parsed body. */; readonly payload: unknown }
  | { readonly ok: false; readonly id: string; readonly type: string; readonly reasons: readonly string[] }

/** The type of an event whose own type could not be read. */
export const UNKNOWN_TYPE = 'unknown'

/**
 * Reads an event out of a request by its provider's map or code. Pure: the same bytes give the same event, at the door
 * and again in the handler's thread.
 */
export function readEvent(provider: Provider, headers: Headers, body: Uint8Array, receivedAtMs: number): Reading {
  const parsed = parseJson(body)
  const found: Partial<Record<keyof EventFields, unknown>> = {}
  const reasons: string[] = parsed.ok ? [] : [parsed.reason]
  try {
    Object.assign(found, extract(provider.event, headers, parsed.ok ? parsed.value : undefined))
  } catch (error) {
    if (parsed.ok) reasons.push(`provider ${provider.name} could not read it (${nameOfError(error)})`)
  }

  const id = nameOf(found.id)
  const type = nameOf(found.type)
  if (parsed.ok && type === undefined) reasons.push(describe('type', found.type))
  if (parsed.ok && id === undefined && isGiven(found.id)) reasons.push(describe('id', found.id))
  const knownId = id ?? `sha256:${hash('sha256', body)}`
  if (reasons.length > 0 || type === undefined) return { ok: false, id: knownId, type: type ?? UNKNOWN_TYPE, reasons }

  const apiVersion = nameOf(found.api_version)
  const task = nameOf(found.task)
  return {
    ok: true,
    payload: parsed.ok ? parsed.value : undefined,
    fields: {
      id: knownId,
      type,
      created_at: timeOf(found.created_at) ?? toIso(receivedAtMs),
      data: found.data ?? {},
      ...(apiVersion !== undefined && { api_version: apiVersion }),
      ...(task !== undefined && { task }),
    },
  }
}

function extract(
  event: Provider['event'],
  headers: Headers,
  body: unknown,
): Partial<Record<keyof EventFields, unknown>> {
  if (typeof event === 'function') return event({ headers, body })
  const pick = (field: keyof EventMap) => select(event[field], headers, body)
  return {
    id: pick('id'),
    type: pick('type'),
    created_at: pick('created_at'),
    data: event.data === undefined ? body : pick('data'),
    api_version: pick('api_version'),
    task: pick('task'),
  }
}

function select(selectors: Selector | readonly Selector[] | undefined, headers: Headers, body: unknown): unknown {
  if (selectors === undefined) return undefined
  for (const selector of typeof selectors === 'string' ? [selectors] : selectors) {
    const value = selector.startsWith('header:')
      ? headers[selector.slice('header:'.length).toLowerCase()]
      : valueAt(body, selector.slice('body:'.length))
    if (isGiven(value)) return value
  }
  return undefined
}

const isGiven = (value: unknown): boolean => value !== undefined && value !== null

/** Its kind alone: a message may hold a piece of the body, and reasons are logged. */
const nameOfError = (error: unknown): string => (error instanceof Error ? error.name : typeof error)

/** An id or type: text that every store, label and terminal can carry, or a number that JSON carried exactly. */
function nameOf(value: unknown): string | undefined {
  if (typeof value === 'number' && Number.isSafeInteger(value)) return String(value)
  return typeof value === 'string' && value.length > 0 && value.length <= MAX_NAME_LENGTH && !UNPRINTABLE.test(value)
    ? value
    : undefined
}

/** Control characters and halves of characters. */
const UNPRINTABLE = /[\p{Cc}\p{Cs}]/u

function describe(field: string, value: unknown): string {
  if (!isGiven(value)) return `no event ${field}`
  if (typeof value === 'number') return `the event ${field} is a number that JSON does not carry exactly`
  if (typeof value !== 'string') return `the event ${field} is not a text`
  if (value === '') return `the event ${field} is empty`
  return value.length > MAX_NAME_LENGTH
    ? `the event ${field} is longer than ${MAX_NAME_LENGTH} characters`
    : `the event ${field} has control characters`
}

/** RFC 3339, or ISO 8601 without an offset. */
const DATE_TIME = /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)?$/

/**
 * RFC 3339 from RFC 3339, from the same without an offset (taken for UTC), or from seconds or milliseconds since the epoch,
 * told apart by their size (1e11 s is the year 5138).
 */
function timeOf(value: unknown): string | undefined {
  if (typeof value === 'string') {
    const [, , offset] = DATE_TIME.exec(value) ?? []
    if (offset !== undefined) return Number.isNaN(Date.parse(value)) ? undefined : value
    if (DATE_TIME.test(value)) return dateTime(Date.parse(`${value.replace(' ', 'T')}Z`))
    return /^\d{9,13}(\.\d+)?$/.test(value) ? timeOf(Number(value)) : undefined
  }
  return typeof value === 'number' ? dateTime(value < 1e11 ? value * 1000 : value) : undefined
}

const dateTime = (ms: number): string | undefined => (Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString() : undefined)
