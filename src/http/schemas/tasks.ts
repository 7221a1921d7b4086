import { type Static, Type } from '@sinclair/typebox'
import { toIso } from '../../domain/clock.ts'
import { RESOLVED_BY, TASK_STATUSES, type Task } from '../../domain/task.ts'
import { ASKERS, MAX_QUESTIONS, QUESTION_KINDS, QUESTION_OUTCOMES, type Question } from '../../domain/task-question.ts'
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

const QuestionSchema = Type.Object({
  kind: OneOf(QUESTION_KINDS, 'poll, or submission: the provider was asked to take the task'),
  by: OneOf(ASKERS, 'poller: the task was due; operator: POST …/poll; caller: POST /v1/tasks'),
  at: Time(),
  duration_ms: Type.Integer(),
  outcome: OneOf(
    QUESTION_OUTCOMES,
    'pending; ended: the answer ended the task; unusable: no answer, or none about the task',
  ),
  provider_status: Nullable(Type.String(), "The provider's own status, as it answered"),
  error: Nullable(Type.String(), 'Why the answer was unusable, or what was wrong with it'),
})
export type QuestionJson = Static<typeof QuestionSchema>

export const TaskDetailSchema = Type.Object({
  ...TaskSchema.properties,
  questions: Type.Optional(
    Type.Array(QuestionSchema, {
      description: `What the provider was asked about the task, and what came of it, the oldest first: the last ${MAX_QUESTIONS}. Absent: they could not be read`,
    }),
  ),
})
export type TaskDetailJson = Static<typeof TaskDetailSchema>

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

export const taskDetailJson = (task: Task, questions: readonly Question[] | undefined): TaskDetailJson => ({
  ...taskJson(task),
  ...(questions !== undefined && { questions: questions.map(questionJson) }),
})

const questionJson = ({
  kind,
  by,
  atMs,
  durationMs,
  outcome,
  providerStatus,
  error,
}: Question): Static<typeof QuestionSchema> => ({
  kind,
  by,
  at: toIso(atMs),
  duration_ms: durationMs,
  outcome,
  provider_status: providerStatus ?? null,
  error: error ?? null,
})
