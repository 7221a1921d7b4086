import { toIso } from '../../domain/clock.ts'
import type { EndedTask, LeasedTask, ResolvedBy, Task, TaskEnding, TaskStatus } from '../../domain/task.ts'
import type { Row } from './rows.ts'

export function taskOf(row: Row): Task {
  const isLive = row.ended_at === null
  return {
    uid: String(row.uid),
    source: String(row.source),
    task_id: textOr(row.id),
    status: row.status as TaskStatus,
    provider_status: textOr(row.word),
    metadata: typeof row.metadata === 'string' ? (JSON.parse(row.metadata) as Record<string, unknown>) : null,
    created_at: toIso(Number(row.created_at)),
    stale_at: toIso(Number(row.stale_at)),
    expires_at: toIso(Number(row.expires_at)),
    next_poll_at: isLive ? toIso(Number(row.due_at)) : null,
    polls: Number(row.polls),
    last_error: textOr(row.last_error),
    ended_at: isLive ? null : toIso(Number(row.ended_at)),
    resolved_by: row.resolved_by as ResolvedBy | null,
    event_uid: textOr(row.event),
  }
}

export const leasedTaskOf = (row: Row, lease: string): LeasedTask => ({
  uid: String(row.uid),
  source: String(row.source),
  lease,
  id: textOr(row.id) ?? undefined,
  request: textOr(row.request) ?? undefined,
  interrupted: row.lease !== null,
  createdAtMs: Number(row.created_at),
  staleAtMs: Number(row.stale_at),
  expiresAtMs: Number(row.expires_at),
  failures: Number(row.failures),
  lastError: textOr(row.last_error) ?? undefined,
  word: textOr(row.word) ?? undefined,
})

export const endedTaskOf = (row: Row, status: TaskEnding, by: ResolvedBy | undefined): EndedTask => ({
  uid: String(row.uid),
  source: String(row.source),
  id: textOr(row.id) ?? undefined,
  status,
  by,
})

const textOr = (value: Row[string] | undefined): string | null => (typeof value === 'string' ? value : null)
