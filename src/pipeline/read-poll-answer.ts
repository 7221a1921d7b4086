import { toIso } from '../domain/clock.ts'
import { parseJson, valueAt } from '../domain/json.ts'
import { isName } from '../domain/names.ts'
import type { Provider, TaskAnswer } from '../domain/provider.ts'
import { EXPIRED_TYPE, isEnding, type TaskEnd } from '../domain/task.ts'
import {
  checkedEnd,
  conclude,
  type EventReading,
  type FoundFields,
  quiet,
  type ReadContext,
  type ReadResult,
  readEvent,
  unreadable,
} from './read-event.ts'

/** The task that a poll is about. */
export interface PolledTask {
  /** The id of the event that is made from the answer (`pollEventId`): an answer has no id. */
  readonly id: string
  /** The provider's id of the task. */
  readonly task: string
  readonly receivedAtMs: number
}

/** What the answer to a poll says about its task. */
export type PollReading =
  | { readonly kind: 'pending'; readonly providerStatus: string }
  /** `reading`: the event that ends the task. */
  | { readonly kind: 'ended'; readonly providerStatus: string; readonly reading: EventReading }
  /** The answer is not JSON. */
  | { readonly kind: 'unreadable' }
  /** The answer says nothing about this task. `reason`: why it could not be read, in Holdfast's words. */
  | { readonly kind: 'nothing'; readonly reason?: string }

/** Reads the answer to a poll. Throws if the provider's module throws. */
export function readPollAnswer(provider: Provider, polled: PolledTask, body: Uint8Array): PollReading {
  const parsed = parseJson(body)
  if (!parsed.ok) return { kind: 'unreadable' }
  const answer = soundAnswer(quiet(provider.api?.tasks?.read(parsed.value, polled.task)))
  if (answer === undefined) return { kind: 'nothing' }
  // Provider modules call the provider's status `word`.
  const { word } = answer
  if (answer.status === 'pending') return { kind: 'pending', providerStatus: word }
  const { id, task, receivedAtMs } = polled
  const end = { status: answer.status, word }
  const reading = conclude({ ...answer.event, id, task }, parsed, [], { body, receivedAtMs, end })
  return reading.ok
    ? { kind: 'ended', providerStatus: word, reading }
    : { kind: 'nothing', reason: reading.reasons.join('; ') }
}

/** Checks what a user's module gave, which may be any value. Runs its getters once. */
function soundAnswer(given: unknown): TaskAnswer | undefined {
  if (typeof given !== 'object' || given === null) return undefined
  const { status, word, event } = given as { readonly [Field in 'status' | 'word' | 'event']?: unknown }
  if (!isName(word)) return undefined
  if (status === 'pending') return { status, word }
  if (!isEnding(status) || status === 'expired' || typeof event !== 'object' || event === null) return undefined
  const fields = { ...(event as Extract<TaskAnswer, { event: unknown }>['event']) }
  // Only Holdfast makes events of the type `task.expired`.
  if (!isName(fields.type) || fields.type === EXPIRED_TYPE) return undefined
  return { status, word, event: fields }
}

/** Reads a stored answer again as the event that ended the task. Pure, as `readEvent` is. */
function readStoredAnswer(provider: Provider, { id, task, receivedAtMs }: PolledTask, body: Uint8Array): ReadResult {
  const parsed = parseJson(body)
  const reasons: string[] = parsed.ok ? [] : [parsed.reason]
  let found: FoundFields = { id }
  let end: TaskEnd | undefined
  try {
    const answer = parsed.ok ? quiet(provider.api?.tasks?.read(parsed.value, task)) : undefined
    if (answer !== undefined && answer.status !== 'pending') {
      found = { ...answer.event, id, task }
      end = checkedEnd(answer)
    }
    if (end === undefined && parsed.ok) reasons.push('the answer does not end the task')
  } catch (error) {
    reasons.push(unreadable(provider, error))
  }
  return conclude(found, parsed, reasons, { body, receivedAtMs, end })
}

/** The body of the event that Holdfast makes at a task's deadline, in the standard event structure. */
export function expiryOf({ id, task, receivedAtMs }: PolledTask, data: Readonly<Record<string, unknown>>): Buffer {
  const created_at = toIso(receivedAtMs)
  return Buffer.from(
    JSON.stringify({ id, type: EXPIRED_TYPE, created_at, data: { ...data, task_id: task, status: 'expired' } }),
  )
}

function readExpiry({ id, task, receivedAtMs }: PolledTask, body: Uint8Array): ReadResult {
  const parsed = parseJson(body)
  const at = (path: string): unknown => (parsed.ok ? valueAt(parsed.value, path) : undefined)
  const found = { id, task, type: EXPIRED_TYPE, created_at: at('created_at'), data: at('data') }
  const end: TaskEnd = { status: 'expired', word: 'expired' }
  return conclude(found, parsed, parsed.ok ? [] : [parsed.reason], { body, receivedAtMs, end })
}

/** Reads a stored event again in the way in which it was read first: as a webhook, as the answer to a poll, or as an expiry. */
export function readStored(provider: Provider, event: ReadContext, body: Uint8Array): ReadResult {
  const { id, task, origin, receivedAtMs } = event
  if (origin !== 'poll' || task === undefined) return readEvent(provider, event.headers, body, receivedAtMs)
  return event.type === EXPIRED_TYPE
    ? readExpiry({ id, task, receivedAtMs }, body)
    : readStoredAnswer(provider, { id, task, receivedAtMs }, body)
}
