import { type Static, type TSchema, Type } from '@sinclair/typebox'

/**
 * The event types that handlers know without a schema of their own, whichever source sends them, and what each carries as `data`:
 * those of the tutorial's generic AI API.
 * Objects are open: fields that are not named here are stored and passed on.
 */

const Count = Type.Integer({ minimum: 0 })
const NullableString = Type.Union([Type.String(), Type.Null()])

const Completion = {
  completion_id: Type.String(),
  model: Type.Optional(Type.String()),
  request_id: Type.Optional(Type.String()),
}

const CompletionStarted = Type.Object(Completion)
const CompletionStreaming = Type.Object({ ...Completion, delta: Type.Optional(Type.String()) })
const CompletionFailed = Type.Object({ ...Completion, error: Type.Optional(Type.Unknown()) })
const CompletionFinished = Type.Object({
  completion_id: Type.String(),
  model: Type.String(),
  prompt_tokens: Count,
  completion_tokens: Count,
  total_tokens: Count,
  finish_reason: Type.String(),
  content: Type.String(),
  request_id: Type.String(),
})

const Batch = {
  batch_id: Type.String(),
  status: Type.Optional(Type.String()),
  total_requests: Type.Optional(Count),
  completed: Type.Optional(Count),
  failed: Type.Optional(Count),
}

const BatchOngoing = Type.Object(Batch)
const BatchFailed = Type.Object({ ...Batch, error: Type.Optional(Type.Unknown()) })
const BatchCompleted = Type.Object({
  batch_id: Type.String(),
  status: Type.String(),
  total_requests: Count,
  completed: Count,
  failed: Count,
  output_file_id: Type.String(),
  error_file_id: Type.Optional(NullableString),
  processing_time_seconds: Type.Number({ minimum: 0 }),
})

const Usage = Type.Object({
  metric: Type.String(),
  current_usage: Type.Number(),
  limit: Type.Number(),
  percentage: Type.Number(),
  reset_at: Type.Optional(Type.String()),
})

const Model = Type.Object({
  model: Type.String(),
  replacement: Type.Optional(NullableString),
  version: Type.Optional(Type.String()),
  effective_at: Type.Optional(Type.String()),
})

const JobFailed = Type.Object({ job_id: Type.String(), error: Type.Optional(Type.Unknown()) })

const Task = Type.Object({
  task_id: Type.String(),
  status: Type.String(),
  result: Type.Optional(Type.Unknown()),
  error: Type.Optional(Type.Unknown()),
})

/** Event type → schema of its `data`. */
export const catalogue = {
  'completion.started': CompletionStarted,
  'completion.streaming': CompletionStreaming,
  'completion.finished': CompletionFinished,
  'completion.failed': CompletionFailed,
  'batch.created': BatchOngoing,
  'batch.processing': BatchOngoing,
  'batch.completed': BatchCompleted,
  'batch.failed': BatchFailed,
  'batch.cancelled': BatchOngoing,
  'usage.limit_warning': Usage,
  'usage.limit_exceeded': Usage,
  'usage.alert': Usage,
  'model.deprecated': Model,
  'model.updated': Model,
  'job.failed': JobFailed,
  'task.completed': Task,
  'task.failed': Task,
  'task.cancelled': Task,
  'task.expired': Task,
} as const satisfies Record<string, TSchema>

/** Whether a provider has schemas of its own, and not the catalogue's. */
export const hasOwnSchemas = ({ schemas }: { readonly schemas?: object }): boolean =>
  schemas !== undefined && schemas !== catalogue

export type CatalogueType = keyof typeof catalogue

/** The type of `event.data` for an event type: from the catalogue, or any object for a type that is not in it. */
export type DataOf<EventType extends string> = EventType extends CatalogueType
  ? Static<(typeof catalogue)[EventType]>
  : Record<string, unknown>

/** The schema of a whole event in the tutorial's standard structure. */
export const standardEvent = <EventType extends string, Data extends TSchema>(type: EventType, data: Data) =>
  Type.Object({
    id: Type.String(),
    type: Type.Literal(type),
    created_at: Type.String(),
    data,
    api_version: Type.Optional(Type.String()),
    source: Type.Optional(Type.String()),
  })
