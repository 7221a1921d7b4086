import { createHash } from 'node:crypto'
import { toIso } from '../domain/clock.ts'
import type { EventFields, Headers, Origin } from '../domain/event.ts'
import { type Parsed, parseJson, valueAt } from '../domain/json.ts'
import { MAX_NAME_LENGTH } from '../domain/limits.ts'
import { isName } from '../domain/names.ts'
import type { EventMap, Provider, Selector } from '../domain/provider.ts'
import type { TaskEnd, TaskEnding } from '../domain/task.ts'
import { readCreatedAt } from './created-at.ts'

/** An event as it was read. */
export interface EventReading {
  readonly ok: true
  readonly fields: EventFields
  /** The parsed body. */
  readonly payload: unknown
  readonly bodyBytes: number
  /** How it ends the task that it is about. */
  readonly end?: TaskEnd
}

/** An authentic body that could not be read as an event: what of the event is known all the same, and why it is no more. */
export interface UnreadableEvent {
  readonly ok: false
  readonly id: string
  readonly type: string
  readonly reasons: readonly string[]
}

export type ReadResult = EventReading | UnreadableEvent

type FieldName = Exclude<keyof EventFields, 'created_at_source'>
export type Found = Partial<Record<FieldName, unknown>>

/** As much of a stored event as says how its body is to be read. */
export interface ReadContext {
  readonly id: string
  readonly type: string
  readonly origin: Origin
  readonly task?: string
  readonly headers: Headers
  readonly receivedAtMs: number
}

/** The type of an event whose own type could not be read. */
export const UNKNOWN_TYPE = 'unknown'

/**
 * Reads an event out of a request by its provider's map or code. Pure: the same bytes give the same event, at the door
 * and again in the handler's process.
 */
export function readEvent(provider: Provider, headers: Headers, body: Uint8Array, receivedAtMs: number): ReadResult {
  const parsed = parseJson(body)
  let found: Found = {}
  const reasons: string[] = parsed.ok ? [] : [parsed.reason]
  try {
    found = quiet(extract(provider.event, headers, parsed.ok ? parsed.value : undefined))
    const mismatch = parsed.ok ? quiet(provider.mismatch?.({ headers, body: parsed.value })) : undefined
    if (isGiven(mismatch)) reasons.push(String(mismatch).slice(0, MAX_NAME_LENGTH))
  } catch (error) {
    if (parsed.ok) reasons.push(unreadable(provider, error))
  }
  const values = () => beside(provider.event, headers, found, parsed)
  return conclude(found, parsed, reasons, { body, beside: values, receivedAtMs, ends: provider })
}

/** What could not be read at all, and why. `id`: its own, where it has one already. */
export const unreadableEvent = (body: Uint8Array, reason: string, id: string = contentId(body)): UnreadableEvent => ({
  ok: false,
  id,
  type: UNKNOWN_TYPE,
  reasons: [reason],
})

/** Makes an event of what was found, or says why that is none. */
export function conclude(
  found: Found,
  parsed: Parsed,
  reasons: string[],
  about: {
    readonly body: Uint8Array
    /** What tells the event from others beside its body. */
    readonly beside?: () => readonly unknown[]
    readonly receivedAtMs: number
    readonly end?: TaskEnd | undefined
    readonly ends?: Provider
  },
): ReadResult {
  const id = nameOf(found.id)
  const type = nameOf(found.type)
  if (parsed.ok && type === undefined) reasons.push(describe('type', found.type))
  if (parsed.ok && id === undefined && isGiven(found.id)) reasons.push(describe('id', found.id))
  const knownId = id ?? contentId(about.body, about.beside?.())
  if (reasons.length > 0 || type === undefined) return { ok: false, id: knownId, type: type ?? UNKNOWN_TYPE, reasons }

  const apiVersion = nameOf(found.api_version)
  const createdAt = readCreatedAt(found.created_at)
  const task = nameOf(found.task)
  const data = found.data ?? {}
  const end = about.end ?? endOf(about.ends, type, data)
  return {
    ok: true,
    payload: parsed.ok ? parsed.value : undefined,
    bodyBytes: about.body.length,
    fields: {
      id: knownId,
      type,
      created_at: createdAt ?? toIso(about.receivedAtMs),
      created_at_source: createdAt === undefined ? 'received' : 'provider',
      data,
      ...(apiVersion !== undefined && { api_version: apiVersion }),
      ...(task !== undefined && { task }),
    },
    ...(end !== undefined && { end }),
  }
}

/** A module that fails to tell does not keep its event from its handlers: the task is then asked for. */
function endOf(provider: Provider | undefined, type: string, data: unknown): TaskEnd | undefined {
  try {
    return checkedEnd(quiet(provider?.ends?.({ type, data })))
  } catch {
    return undefined
  }
}

const ENDINGS: ReadonlySet<unknown> = new Set(['completed', 'failed', 'cancelled', 'expired'] satisfies TaskEnding[])

/** A module of a user's own may say anything; a word that cannot be kept gives way to the status. */
export function checkedEnd(end: TaskEnd | undefined | null): TaskEnd | undefined {
  if (!ENDINGS.has(end?.status) || end === undefined || end === null) return undefined
  return { status: end.status, word: isName(end.word) ? end.word : end.status }
}

/** A promise says nothing here; that it rejects, which nobody would hear, is not to end whatever runs the module. */
export function quiet<Given>(given: Given): Given {
  if (given instanceof Promise) given.catch(() => {})
  return given
}

export const unreadable = (provider: Provider, error: unknown): string =>
  `provider ${provider.name} could not read it (${nameOfError(error)})`

function extract(event: Provider['event'], headers: Headers, body: unknown): Found {
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

const TELLING = ['type', 'data', 'api_version', 'task'] as const satisfies readonly FieldName[]

/**
 * What tells an event from others with the same body: all headers that its map reads, but for the time, which a repeated
 * delivery may have of its own. What code reads may come from anywhere: all that it gives, but for the time.
 */
function beside(event: Provider['event'], headers: Headers, found: Found, parsed: Parsed): readonly unknown[] {
  if (typeof event === 'function') {
    const names = [found.type, found.api_version, found.task].map((value) => nameOf(value) ?? null)
    const data = parsed.ok && found.data === parsed.value ? undefined : written(found.data)
    return data === undefined ? names : [...names, data]
  }
  const named = TELLING.flatMap((field) => event[field] ?? []).filter((selector) => selector.startsWith('header:'))
  return named.map((selector) => select(selector, headers, undefined) ?? null)
}

/** What code gives may be anything; what JSON has no form for tells nothing. */
function written(data: unknown): string | undefined {
  try {
    return JSON.stringify(data)
  } catch {
    return undefined
  }
}

/** The id of an event that has none: the same bytes, with the same values beside them, are the same event. */
function contentId(body: Uint8Array, values: readonly unknown[] = []): string {
  const hash = createHash('sha256')
  if (values.length > 0) hash.update(`${JSON.stringify(values)}\n`)
  return `sha256:${hash.update(body).digest('hex')}`
}

const isGiven = (value: unknown): boolean => value !== undefined && value !== null

/** Its kind alone: a message may hold a piece of the body, and reasons are logged. */
const nameOfError = (error: unknown): string => (error instanceof Error ? error.name : typeof error)

/** An id or type: text that every store, label and terminal can carry, or a number that JSON carried exactly. */
function nameOf(value: unknown): string | undefined {
  if (typeof value === 'number' && Number.isSafeInteger(value)) return String(value)
  return isName(value) ? value : undefined
}

function describe(field: string, value: unknown): string {
  if (!isGiven(value)) return `no event ${field}`
  if (typeof value === 'number') return `the event ${field} is a number that JSON does not carry exactly`
  if (typeof value !== 'string') return `the event ${field} is not a text`
  if (value === '') return `the event ${field} is empty`
  return value.length > MAX_NAME_LENGTH
    ? `the event ${field} is longer than ${MAX_NAME_LENGTH} characters`
    : `the event ${field} has control characters`
}
