import type { EndedTask, LeasedTask, ResolvedBy, Task, TaskEnding, TaskStatus } from '../../domain/task.ts'
import type { Row } from './rows.ts'

export function taskOf(row: Row): Task {
  const isLive = row.ended_at === null
  return {
    uid: String(row.uid),
    source: String(row.source),
    id: textOr(row.id),
    status: row.status as TaskStatus,
    providerStatus: textOr(row.word),
    metadata: typeof row.metadata === 'string' ? (JSON.parse(row.metadata) as Record<string, unknown>) : null,
    createdAtMs: Number(row.created_at),
    staleAtMs: Number(row.stale_at),
    expiresAtMs: Number(row.expires_at),
    nextPollAtMs: isLive ? Number(row.due_at) : null,
    polls: Number(row.polls),
    lastError: textOr(row.last_error),
    endedAtMs: isLive ? null : Number(row.ended_at),
    resolvedBy: row.resolved_by as ResolvedBy | null,
    eventUid: textOr(row.event),
  }
}

export const leasedTaskOf = (row: Row, lease: string, interrupted: boolean): LeasedTask => ({
  uid: String(row.uid),
  source: String(row.source),
  lease,
  id: textOr(row.id) ?? undefined,
  request: textOr(row.request) ?? undefined,
  interrupted,
  createdAtMs: Number(row.created_at),
  staleAtMs: Number(row.stale_at),
  expiresAtMs: Number(row.expires_at),
  failures: Number(row.failures),
  lastError: textOr(row.last_error) ?? undefined,
  providerStatus: textOr(row.word) ?? undefined,
})

export const endedTaskOf = (row: Row, status: TaskEnding, by: ResolvedBy | undefined): EndedTask => ({
  uid: String(row.uid),
  source: String(row.source),
  id: textOr(row.id) ?? undefined,
  status,
  by,
})

const textOr = (value: Row[string] | undefined): string | null => (typeof value === 'string' ? value : null)
