import { toIso } from '../../domain/clock.ts'
import type { EndedTask, LeasedTask, ResolvedBy, Task, TaskEnding, TaskStatus } from '../../domain/task.ts'
import type { Row } from './connections.ts'

export interface TaskRow extends Row {
  readonly key: number
  readonly uid: string
  readonly source: string
  readonly id: string | null
  readonly status: TaskStatus
  readonly word: string | null
  readonly request: string | null
  readonly metadata: string | null
  readonly fingerprint: string | null
  readonly created_at: number
  readonly stale_at: number
  readonly expires_at: number
  readonly due_at: number
  readonly lease: string | null
  readonly polls: number
  readonly failures: number
  readonly last_error: string | null
  readonly ended_at: number | null
  readonly resolved_by: ResolvedBy | null
  readonly event: string | null
}

export const taskOf = (row: TaskRow): Task => ({
  uid: row.uid,
  source: row.source,
  task_id: row.id,
  status: row.status,
  provider_status: row.word,
  metadata: row.metadata === null ? null : (JSON.parse(row.metadata) as Record<string, unknown>),
  created_at: toIso(row.created_at),
  stale_at: toIso(row.stale_at),
  expires_at: toIso(row.expires_at),
  next_poll_at: row.ended_at === null ? toIso(row.due_at) : null,
  polls: row.polls,
  last_error: row.last_error,
  ended_at: row.ended_at === null ? null : toIso(row.ended_at),
  resolved_by: row.resolved_by,
  event_uid: row.event,
})

/** `aheadMs`: by how much this process's clock is ahead of the database's. */
export const leasedTaskOf = (row: TaskRow, lease: string, heldBefore: string | null, aheadMs: number): LeasedTask => ({
  uid: row.uid,
  source: row.source,
  lease,
  id: row.id ?? undefined,
  request: row.request ?? undefined,
  interrupted: heldBefore !== null,
  createdAtMs: row.created_at + aheadMs,
  staleAtMs: row.stale_at + aheadMs,
  expiresAtMs: row.expires_at + aheadMs,
  failures: row.failures,
  lastError: row.last_error ?? undefined,
  word: row.word ?? undefined,
})

export const endedTaskOf = (row: TaskRow, status: TaskEnding, by: ResolvedBy | undefined): EndedTask => ({
  uid: row.uid,
  source: row.source,
  id: row.id ?? undefined,
  status,
  by,
})
