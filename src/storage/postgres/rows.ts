import type { Attempt, AttemptOutcome, DeliveryState, DeliverySummary } from '../../domain/delivery.ts'
import type { CreatedAtSource, EventStatus, EventSummary, Origin } from '../../domain/event.ts'
import { shownDetail } from '../records/attempt-detail.ts'
import type { Row } from './connections.ts'

export const EVENT_COLUMNS = `event.key, event.uid, event.source, event.provider, event.id, event.type, event.created_at,
  event.created_at_source, event.received_at, event.origin, event.status, event.reasons, event.task, event.api_version, event.size`

export interface EventRow extends Row {
  readonly key: number
  readonly uid: string
  readonly source: string
  readonly provider: string
  readonly id: string
  readonly type: string
  readonly created_at: string
  readonly created_at_source: CreatedAtSource | null
  readonly received_at: number
  readonly origin: Origin
  readonly status: EventStatus
  readonly reasons: string | null
  readonly task: string | null
  readonly api_version: string | null
  readonly size: number
}

export const eventSummaryOf = (row: EventRow): EventSummary => ({
  uid: row.uid,
  source: row.source,
  provider: row.provider,
  id: row.id,
  type: row.type,
  createdAt: row.created_at,
  ...(row.created_at_source !== null && { createdAtSource: row.created_at_source }),
  receivedAtMs: row.received_at,
  origin: row.origin,
  status: row.status,
  reasons: row.reasons === null ? [] : (JSON.parse(row.reasons) as string[]),
  ...(row.api_version !== null && { apiVersion: row.api_version }),
  ...(row.task !== null && { task: row.task }),
  sizeBytes: row.size,
})

export interface DeliveryRow extends Row {
  readonly key: number
  readonly handler: string
  readonly state: DeliveryState
  readonly due_at: number
  readonly attempts: number
  readonly last_error: string | null
}

export const deliverySummaryOf = (
  row: DeliveryRow,
  event: { readonly uid: string; readonly source: string; readonly type: string },
): DeliverySummary => ({
  eventUid: event.uid,
  source: event.source,
  type: event.type,
  handler: row.handler,
  state: row.state,
  attempts: row.attempts,
  dueAtMs: row.due_at,
  ...(row.last_error !== null && { lastError: row.last_error }),
})

export interface AttemptRow extends Row {
  readonly delivery: number
  readonly number: number
  readonly outcome: AttemptOutcome
  readonly error: string | null
  readonly detail: string | null
  readonly started_at: number
  readonly duration_ms: number
}

export const attemptOf = (row: AttemptRow): Attempt => ({
  number: row.number,
  outcome: row.outcome,
  ...(row.error !== null && { error: row.error }),
  ...shownDetail(row.detail),
  startedAtMs: row.started_at,
  durationMs: row.duration_ms,
})
