import { createHash } from 'node:crypto'
import { toIso } from '../domain/clock.ts'
import type { EventFields, Headers, Origin } from '../domain/event.ts'
import { type Parsed, parseJson, valueAt } from '../domain/json.ts'
import { MAX_NAME_LENGTH } from '../domain/limits.ts'
import { isName } from '../domain/names.ts'
import type { EventMap, Provider, Selector } from '../domain/provider.ts'
import { isEnding, type TaskEnd } from '../domain/task.ts'
import { readCreatedAt } from './created-at.ts'

/** An event that was read from an authentic body. */
export interface EventReading {
  readonly ok: true
  readonly fields: EventFields
  /** The parsed body. */
  readonly payload: unknown
  readonly bodyBytes: number
  /** How the event ends its task; absent: it does not. */
  readonly end?: TaskEnd
}

/** An authentic body that could not be read as an event. `reasons`: why. `id` and `type`: what is known of the event nevertheless. */
export interface UnreadableEvent {
  readonly ok: false
  readonly id: string
  readonly type: string
  readonly reasons: readonly string[]
}

export type ReadResult = EventReading | UnreadableEvent

type FieldName = Exclude<keyof EventFields, 'created_at_source'>
export type FoundFields = Partial<Record<FieldName, unknown>>

/** What is known about an event besides its body; it decides how the body is read. `id` and `type` are empty for a new event. */
export interface ReadContext {
  readonly id: string
  readonly type: string
  readonly origin: Origin
  readonly task?: string
  readonly headers: Headers
  readonly receivedAtMs: number
}

/** The type of an event whose type could not be read. */
const UNKNOWN_TYPE = 'unknown'

/**
 * Reads an event from a request by its provider's map or code. Pure: the service and the handler's process read the same event from
 * the same bytes.
 */
export function readEvent(provider: Provider, headers: Headers, body: Uint8Array, receivedAtMs: number): ReadResult {
  const parsed = parseJson(body)
  let found: FoundFields = {}
  const reasons: string[] = parsed.ok ? [] : [parsed.reason]
  try {
    found = quiet(findFields(provider.event, headers, parsed.ok ? parsed.value : undefined))
    const mismatch = parsed.ok ? quiet(provider.mismatch?.({ headers, body: parsed.value })) : undefined
    if (isGiven(mismatch)) reasons.push(String(mismatch).slice(0, MAX_NAME_LENGTH))
  } catch (error) {
    if (parsed.ok) reasons.push(unreadable(provider, error))
  }
  const values = () => beside(provider.event, headers, found, parsed)
  return conclude(found, parsed, reasons, { body, beside: values, receivedAtMs, ends: provider })
}

/** A body that could not be read at all. `id`: the event's id if it is stored already. */
export const unreadableEvent = (body: Uint8Array, reason: string, id: string = contentId(body)): UnreadableEvent => ({
  ok: false,
  id,
  type: UNKNOWN_TYPE,
  reasons: [reason],
})

/** Checks the fields that were found in a body, and makes an event from them, or says why it cannot. */
export function conclude(
  found: FoundFields,
  parsed: Parsed,
  reasons: string[],
  about: {
    readonly body: Uint8Array
    /** Values that tell this event from another one with the same body. */
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

/** If the module's `ends` fails, the handlers get the event nevertheless, and the poller polls the task. */
function endOf(provider: Provider | undefined, type: string, data: unknown): TaskEnd | undefined {
  try {
    return checkedEnd(quiet(provider?.ends?.({ type, data })))
  } catch {
    return undefined
  }
}

/** A user's module may give any value. A word that cannot be stored is replaced by the status. */
export function checkedEnd(end: TaskEnd | undefined | null): TaskEnd | undefined {
  if (end === undefined || end === null || !isEnding(end.status)) return undefined
  return { status: end.status, word: isName(end.word) ? end.word : end.status }
}

/** Module functions are synchronous, so a promise is not a result. Its rejection must not end the thread or process of the module. */
export function quiet<Given>(given: Given): Given {
  if (given instanceof Promise) given.catch(() => {})
  return given
}

export const unreadable = (provider: Provider, error: unknown): string =>
  `provider ${provider.name} could not read it (${nameOfError(error)})`

/** The fields that the provider's map or code finds in a request, unchecked. Throws if the code throws. */
export function findFields(event: Provider['event'], headers: Headers, body: unknown): FoundFields {
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

const IDENTIFYING_FIELDS = ['type', 'data', 'api_version', 'task'] as const satisfies readonly FieldName[]

/**
 * Values that tell an event from another one with the same body. For a map: all headers that it reads, except the time, which may
 * differ when the provider sends an event again. For code, which may read any header: all fields that it gives, except the time.
 */
function beside(event: Provider['event'], headers: Headers, found: FoundFields, parsed: Parsed): readonly unknown[] {
  if (typeof event === 'function') {
    const names = [found.type, found.api_version, found.task].map((value) => nameOf(value) ?? null)
    const data = parsed.ok && found.data === parsed.value ? undefined : written(found.data)
    return data === undefined ? names : [...names, data]
  }
  const named = IDENTIFYING_FIELDS.flatMap((field) => event[field] ?? []).filter((selector) =>
    selector.startsWith('header:'),
  )
  return named.map((selector) => select(selector, headers, undefined) ?? null)
}

/** Code may give any value. Undefined: the value has no JSON form, and is left out. */
function written(data: unknown): string | undefined {
  try {
    return JSON.stringify(data)
  } catch {
    return undefined
  }
}

/** The id of an event without one: equal bytes with equal `values` are the same event. */
function contentId(body: Uint8Array, values: readonly unknown[] = []): string {
  const hash = createHash('sha256')
  if (values.length > 0) hash.update(`${JSON.stringify(values)}\n`)
  return `sha256:${hash.update(body).digest('hex')}`
}

const isGiven = (value: unknown): boolean => value !== undefined && value !== null

/** Only the error's name: a message may hold a piece of the body, and reasons are logged. */
const nameOfError = (error: unknown): string => (error instanceof Error ? error.name : typeof error)

/** An id or type: a string that every store, label and terminal can carry, or a number that JSON represents exactly. */
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
