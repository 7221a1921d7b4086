import { HoldfastError } from '../../domain/errors.ts'
import type {
  EndedTask,
  LeasedTask,
  NewTask,
  ResolvedBy,
  Task,
  TaskEnd,
  TaskEnding,
  TaskStatus,
} from '../../domain/task.ts'
import type { StuckTasks } from '../../domain/task-store.ts'
import type { Position } from './list-pages.ts'

/** How both stores read a row of a task, and the rules for tasks that do not depend on the database. */

export type TaskRow = Readonly<{
  key: number
  uid: string
  source: string
  id: string | null
  status: TaskStatus
  word: string | null
  request: string | null
  /** JSON. */
  metadata: string | null
  fingerprint: string | null
  created_at: number
  stale_at: number
  expires_at: number
  due_at: number
  lease: string | null
  polls: number
  failures: number
  last_error: string | null
  ended_at: number | null
  resolved_by: ResolvedBy | null
  event: string | null
}>

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

/** Where a task stands in a list, which is in order of key. */
export const taskPosition = ({ key }: Pick<TaskRow, 'key'>): Position => ({ atMs: 0, key })

/** `aheadMs`: by how much this process's clock is ahead of the store's. */
export const leasedTaskOf = (row: TaskRow, lease: string, interrupted: boolean, aheadMs = 0): LeasedTask => ({
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

/** The columns in the row of an event that say how the event ends its task. */
export type TaskEndRow = Readonly<{ task_end: TaskEnding; task_word: string | null }>

/** If the provider gave no status word of its own, our status stands for it. */
export const taskEndOf = ({ task_end, task_word }: TaskEndRow): TaskEnd => ({
  status: task_end,
  word: task_word ?? task_end,
})

/**
 * Throws `idempotency_mismatch` if the known task has the idempotency key of the new task, but was made for another request.
 */
export function checkIdempotency(known: TaskRow | undefined, { idempotency }: NewTask): void {
  if (known !== undefined && known.fingerprint !== idempotency?.fingerprint)
    throw new HoldfastError('idempotency_mismatch', 'the Idempotency-Key was used for another request')
}

/** The error of a submission if the provider returned the id of a task that is already known. */
export const idTakenBy = ({ uid }: TaskRow): string => `the provider gave it the id of task ${uid}`

/**
 * SQL condition: a submission with an unknown outcome waits for its deadline. If it were sent again, the user might pay for it
 * twice.
 */
export const IS_LEFT_TO_DEADLINE = "(status = 'submitting' AND due_at >= expires_at)"

/** By how much a deadline is extended if it has passed only by a doubted clock. */
const GRACE_MS = 86_400_000

/**
 * The deadline of a leased task. If it has passed by `nowMs` but not by `deadlineMs` (which `deadlineTime` gives), it has
 * passed only by a doubted clock, and is extended.
 */
export const expiryOf = ({ expires_at }: TaskRow, deadlineMs: number, nowMs: number): number =>
  expires_at > deadlineMs && expires_at <= nowMs ? nowMs + GRACE_MS : expires_at

export type StuckRow = Readonly<{ n: number; at: number | null }>

export const stuckOf = (row: object | undefined): StuckTasks | undefined => {
  const { n, at } = (row ?? { n: 0, at: null }) as StuckRow
  return at === null ? undefined : { count: n, staleAtMs: at }
}
