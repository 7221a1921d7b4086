import { type Static, Type } from '@sinclair/typebox'
import { toIso } from '../../domain/clock.ts'
import { RESOLVED_BY, TASK_STATUSES, type Task } from '../../domain/task.ts'
import { isoOrNull, Nullable, OneOf, Time } from './schema.ts'

export const TaskSchema = Type.Object({
  uid: Type.String({ description: "Holdfast's id of the task, for use while the provider has given no id" }),
  source: Type.String(),
  task_id: Nullable(Type.String(), "The provider's id; null while submitting"),
  status: OneOf(TASK_STATUSES),
  provider_status: Nullable(Type.String(), "The provider's own status"),
  metadata: Nullable(Type.Record(Type.String(), Type.Unknown())),
  created_at: Time(),
  stale_at: Time('From this time on the provider is polled'),
  expires_at: Time(),
  next_poll_at: Nullable(Time()),
  polls: Type.Integer({ description: 'How often the provider was asked' }),
  last_error: Nullable(Type.String()),
  ended_at: Nullable(Time()),
  resolved_by: Nullable(OneOf(RESOLVED_BY)),
  event_uid: Nullable(Type.String(), 'The event that ended it'),
})
/** A task as the ops API shows it. */
export type TaskJson = Static<typeof TaskSchema>

export const taskJson = (task: Task): TaskJson => ({
  uid: task.uid,
  source: task.source,
  task_id: task.id,
  status: task.status,
  provider_status: task.providerStatus,
  metadata: task.metadata,
  created_at: toIso(task.createdAtMs),
  stale_at: toIso(task.staleAtMs),
  expires_at: toIso(task.expiresAtMs),
  next_poll_at: isoOrNull(task.nextPollAtMs),
  polls: task.polls,
  last_error: task.lastError,
  ended_at: isoOrNull(task.endedAtMs),
  resolved_by: task.resolvedBy,
  event_uid: task.eventUid,
})
