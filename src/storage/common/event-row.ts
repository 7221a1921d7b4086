import type { NewEvent } from '../../domain/event.ts'
import type { Receipt } from '../../domain/store.ts'
import type { EndedTask, TaskEnding } from '../../domain/task.ts'
import type { WireError } from './wire-error.ts'

/** An event without its body, which travels in one buffer with those of its batch. One flat row clones fastest. */
export type EventRow = readonly [
  uid: string,
  source: string,
  provider: string,
  id: string,
  type: string,
  createdAt: string,
  receivedAtMs: number,
  origin: NewEvent['origin'],
  status: NewEvent['status'],
  /** JSON. */
  reasons: string | null,
  task: string | null,
  apiVersion: string | null,
  /** JSON. */
  headers: string,
  traceparent: string | null,
  bodyBytes: number,
  handlers: readonly string[],
  taskEnd: TaskEnding | null,
  taskWord: string | null,
  asked: NonNullable<NewEvent['asked']> | null,
]

export interface AppendBatch {
  readonly id: number
  readonly events: readonly EventRow[]
  /** All bodies, one after the other. */
  readonly bodies: ArrayBuffer
}

/** What became of each event of a batch; null is the common case, accepted under its own uid. */
export type AppendResult = null | (Receipt & { readonly ended?: EndedTask }) | WireError

export const rowOf = (event: NewEvent): EventRow => [
  event.uid,
  event.source,
  event.provider,
  event.id,
  event.type,
  event.created_at,
  event.receivedAtMs,
  event.origin,
  event.status,
  event.reasons.length > 0 ? JSON.stringify(event.reasons) : null,
  event.task ?? null,
  event.api_version ?? null,
  JSON.stringify(event.headers),
  event.traceparent ?? null,
  event.body.length,
  event.handlers,
  event.taskEnd?.status ?? null,
  event.taskEnd?.word ?? null,
  event.asked ?? null,
]
