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
  id: row.id,
  status: row.status,
  providerStatus: row.word,
  metadata: row.metadata === null ? null : (JSON.parse(row.metadata) as Record<string, unknown>),
  createdAtMs: row.created_at,
  staleAtMs: row.stale_at,
  expiresAtMs: row.expires_at,
  nextPollAtMs: row.ended_at === null ? row.due_at : null,
  polls: row.polls,
  lastError: row.last_error,
  endedAtMs: row.ended_at,
  resolvedBy: row.resolved_by,
  eventUid: row.event,
})

/** `aheadMs`: by how much this process's clock is ahead of the database's. */
export const leasedTaskOf = (row: TaskRow, lease: string, interrupted: boolean, aheadMs: number): LeasedTask => ({
  uid: row.uid,
  source: row.source,
  lease,
  id: row.id ?? undefined,
  request: row.request ?? undefined,
  interrupted,
  createdAtMs: row.created_at + aheadMs,
  staleAtMs: row.stale_at + aheadMs,
  expiresAtMs: row.expires_at + aheadMs,
  failures: row.failures,
  lastError: row.last_error ?? undefined,
  providerStatus: row.word ?? undefined,
})

export const endedTaskOf = (row: TaskRow, status: TaskEnding, by: ResolvedBy | undefined): EndedTask => ({
  uid: row.uid,
  source: row.source,
  id: row.id ?? undefined,
  status,
  by,
})
