import type { SQLOutputValue } from 'node:sqlite'
import type { Attempt, AttemptOutcome, DeliveryState, DeliverySummary } from '../../domain/delivery.ts'
import type { CreatedAtSource, EventStatus, EventSummary, Origin } from '../../domain/event.ts'
import { shownDetail } from '../records/attempt-detail.ts'

export type Row = Readonly<Record<string, SQLOutputValue>>

export const EVENT_COLUMNS =
  'key, uid, source, provider, id, type, created_at, created_at_source, received_at, origin, status, reasons, task, api_version, size'

export function eventSummaryOf(row: Row): EventSummary {
  return {
    uid: String(row.uid),
    source: String(row.source),
    provider: String(row.provider),
    id: String(row.id),
    type: String(row.type),
    createdAt: String(row.created_at),
    ...(row.created_at_source !== null && { createdAtSource: row.created_at_source as CreatedAtSource }),
    receivedAtMs: Number(row.received_at),
    origin: row.origin as Origin,
    status: row.status as EventStatus,
    reasons: typeof row.reasons === 'string' ? (JSON.parse(row.reasons) as string[]) : [],
    ...(typeof row.api_version === 'string' && { apiVersion: row.api_version }),
    ...(typeof row.task === 'string' && { task: row.task }),
    sizeBytes: Number(row.size),
  }
}

/** Expects the event's uid, source and type beside the delivery's columns. */
export function deliverySummaryOf(row: Row): DeliverySummary {
  return {
    eventUid: String(row.uid),
    source: String(row.source),
    type: String(row.type),
    handler: String(row.handler),
    state: row.state as DeliveryState,
    attempts: Number(row.attempts),
    dueAtMs: Number(row.due_at),
    ...(typeof row.last_error === 'string' && { lastError: row.last_error }),
  }
}

export function attemptOf(row: Row): Attempt {
  return {
    number: Number(row.number),
    outcome: row.outcome as AttemptOutcome,
    ...(typeof row.error === 'string' && { error: row.error }),
    ...shownDetail(typeof row.detail === 'string' ? row.detail : null),
    startedAtMs: Number(row.started_at),
    durationMs: Number(row.duration_ms),
  }
}
