import { type Static, type TObject, type TSchema, Type } from '@sinclair/typebox'
import type { ServiceAnswer } from '../../domain/answer.ts'
import { toIso } from '../../domain/clock.ts'
import { type Attempt, DELIVERY_STATES, type DeliverySummary } from '../../domain/delivery.ts'
import type { Replayed } from '../../domain/delivery-queue.ts'
import { type ErrorDetail, MAX_ERROR_DEPTH } from '../../domain/errors.ts'
import { CREATED_AT_SOURCES, EVENT_STATUSES, type EventSummary, ORIGINS } from '../../domain/event.ts'
import { type BesideEvent, type EventDetail, RELATIONS, type Repeats } from '../../domain/event-store.ts'
import { EVENT_OUTCOMES } from '../../domain/outcome.ts'
import type { SearchPage } from '../../domain/page.ts'
import { OneOf, PageOf, pageJson, Time } from './schema.ts'

export const EventSchema = Type.Object({
  uid: Type.String(),
  source: Type.String(),
  provider: Type.String(),
  id: Type.String({ description: 'The id that the provider gave' }),
  type: Type.String(),
  created_at: Type.String(),
  // `received`: the provider gave no readable time, so `created_at` is the time of receipt.
  created_at_source: Type.Optional(OneOf(CREATED_AT_SOURCES)),
  received_at: Time(),
  origin: OneOf(ORIGINS),
  status: OneOf(EVENT_STATUSES),
  // Absent: its deliveries lie on a damaged page.
  outcome: Type.Optional(OneOf(EVENT_OUTCOMES)),
  reasons: Type.Array(Type.String()),
  api_version: Type.Optional(Type.String()),
  task: Type.Optional(Type.String()),
  size_bytes: Type.Integer(),
})

export const DeliverySchema = Type.Object({
  event_uid: Type.String(),
  source: Type.String(),
  type: Type.String(),
  handler: Type.String(),
  state: OneOf(DELIVERY_STATES),
  attempts: Type.Integer({ description: 'Counted since it was created or last replayed' }),
  due_at: Time(
    'When a pending delivery may run next; when a terminal one ended; when one that waits for its turn was created or replayed',
  ),
  waits_for_turn: Type.Optional(
    Type.Literal(true, { description: 'It runs when earlier deliveries with its order key (orderBy) have ended' }),
  ),
  last_error: Type.Optional(Type.String()),
  cause: Type.Optional(
    Type.String({ description: 'Of a dead or discarded delivery: the id of the cause of its death, once it is known' }),
  ),
})

/** What was thrown, without its causes and parts. The type demands a schema for each field of `ErrorDetail`. */
const thrownFields = {
  name: Type.String(),
  message: Type.String(),
  code: Type.Optional(Type.String()),
  stack: Type.Optional(Type.Array(Type.String(), { description: "Frames of the handler's own code, innermost first" })),
} satisfies {
  readonly [Field in Exclude<keyof ErrorDetail, 'cause' | 'errors'>]-?: TSchema & { static: ErrorDetail[Field] }
}

/** An `ErrorDetail`. The nested schemas are written out level by level, since OpenAPI does not allow a schema that names itself. */
const schemaAt = (depth: number): TObject =>
  Type.Object(
    {
      ...thrownFields,
      ...(depth < MAX_ERROR_DEPTH && {
        cause: Type.Optional(schemaAt(depth + 1)),
        errors: Type.Optional(Type.Array(schemaAt(depth + 1))),
      }),
    },
    depth === 0 ? { description: 'The details of what the handler threw, without secrets' } : {},
  )

/** TypeBox cannot infer the type of a schema that nests itself. */
const ErrorDetailSchema = schemaAt(0) as TSchema as TSchema & { static: ErrorDetail }

const AnswerSchema = Type.Object(
  {
    from: Type.String({ description: 'The origin of the URL to which the event was posted' }),
    status: Type.Integer(),
    duration_ms: Type.Number({ description: 'From the request until the status came' }),
    text: Type.Optional(
      Type.String({ description: 'The beginning of its body in one line, without secrets, if it is text' }),
    ),
  },
  { description: 'What the service answered to which the attempt forwarded the event; absent if no answer came' },
)

const AttemptSchema = Type.Object({
  number: Type.Integer(),
  outcome: Type.String(),
  error: Type.Optional(Type.String()),
  error_detail: Type.Optional(ErrorDetailSchema),
  answer: Type.Optional(AnswerSchema),
  cause: Type.Optional(Type.String({ description: 'Id of the cause of a failure' })),
  replay: Type.Optional(Type.String({ description: 'The id of the replay that it belongs to' })),
  started_at: Time(),
  duration_ms: Type.Number(),
})

const BesideSchema = Type.Object({
  relation: OneOf(RELATIONS),
  uid: Type.String(),
  type: Type.String(),
  received_at: Time(),
  origin: OneOf(ORIGINS),
  status: OneOf(EVENT_STATUSES),
  size_bytes: Type.Integer(),
})

export const EventDetailSchema = Type.Composite([
  EventSchema,
  Type.Object({
    headers: Type.Record(Type.String(), Type.String()),
    traceparent: Type.Optional(Type.String()),
    received_from: Type.Optional(
      Type.String({ description: 'Of a webhook: the address that it came from, as trusted proxies name it' }),
    ),
    verified_by: Type.Optional(
      Type.Object(
        { secret: Type.Integer(), of: Type.Integer() },
        {
          description: "Of a webhook: which of its source's secrets verified it, from 1, the newest first; of how many",
        },
      ),
    ),
    repeats: Type.Optional(
      Type.Object(
        { times: Type.Integer(), last_at: Time(), last_from: Type.Optional(Type.String()) },
        { description: 'How often it was sent again with the same bytes, when last and from where. Absent: not once' },
      ),
    ),
    beside: Type.Optional(
      Type.Array(BesideSchema, {
        description:
          'Events about the same id with another body, and about the end of the same task. `has_id`: it has the id; `same_id`: it is in conflict about the id; `ended_task`: it ended the task; `same_task`: it came after that end. At most ten about the id and ten about the task, the newest first after the one that has the id or ended the task. Absent: they could not be read',
      }),
    ),
    checksum: Type.String({ description: 'SHA-256 of the body, lower-case hex' }),
    deliveries: Type.Array(Type.Composite([DeliverySchema, Type.Object({ history: Type.Array(AttemptSchema) })])),
  }),
])

/** The result of a replay. */
export const ReplaySchema = Type.Object({
  uid: Type.String(),
  status: Type.String({ description: 'The status of the event after the replay' }),
  reasons: Type.Array(Type.String()),
  handlers: Type.Array(Type.String(), { description: 'The handlers that will run' }),
  replay: Type.Optional(Type.String({ description: 'The id that the attempts of this replay carry' })),
})

/** A page of the list of events. */
export const EventPageSchema = Type.Composite([
  PageOf(EventSchema),
  Type.Object({
    scanned_until: Type.Optional(
      Time('The search in payloads ended with its time, and has read the events since then: `next_cursor` goes on'),
    ),
  }),
])

export type EventPageJson = Static<typeof EventPageSchema>

export const eventPageJson = ({ scannedUntilMs, ...page }: SearchPage<EventSummary>): EventPageJson => ({
  ...pageJson(page, eventJson),
  ...(scannedUntilMs !== undefined && { scanned_until: toIso(scannedUntilMs) }),
})

/** An event in a list of the ops API. */
export type EventJson = Static<typeof EventSchema>
/** A single event of the ops API, with its deliveries. */
export type EventDetailJson = Static<typeof EventDetailSchema>
/** A delivery as the ops API shows it. */
export type DeliveryJson = Static<typeof DeliverySchema>
export type ReplayJson = Static<typeof ReplaySchema>

export const eventJson = (event: EventSummary): EventJson => ({
  uid: event.uid,
  source: event.source,
  provider: event.provider,
  id: event.id,
  type: event.type,
  created_at: event.createdAt,
  ...(event.createdAtSource !== undefined && { created_at_source: event.createdAtSource }),
  received_at: toIso(event.receivedAtMs),
  origin: event.origin,
  status: event.status,
  ...(event.outcome !== undefined && { outcome: event.outcome }),
  reasons: [...event.reasons],
  ...(event.apiVersion !== undefined && { api_version: event.apiVersion }),
  ...(event.task !== undefined && { task: event.task }),
  size_bytes: event.sizeBytes,
})

export const eventDetailJson = (event: EventDetail, beside?: readonly BesideEvent[]): EventDetailJson => ({
  ...eventJson(event),
  headers: event.headers,
  ...(event.traceparent !== undefined && { traceparent: event.traceparent }),
  ...(event.receivedFrom !== undefined && { received_from: event.receivedFrom }),
  ...(event.verifiedBy !== undefined && { verified_by: { ...event.verifiedBy } }),
  ...(event.repeats !== undefined && { repeats: repeatsJson(event.repeats) }),
  ...(beside !== undefined && { beside: beside.map(besideJson) }),
  checksum: event.checksum,
  deliveries: event.deliveries.map((delivery) => ({
    ...deliveryJson(delivery),
    history: delivery.history.map(attemptJson),
  })),
})

const answerJson = ({ durationMs, ...answer }: ServiceAnswer): Static<typeof AnswerSchema> => ({
  ...answer,
  duration_ms: durationMs,
})

const repeatsJson = ({ times, lastAtMs, lastFrom }: Repeats) => ({
  times,
  last_at: toIso(lastAtMs),
  ...(lastFrom !== undefined && { last_from: lastFrom }),
})

const besideJson = ({ relation, event }: BesideEvent): Static<typeof BesideSchema> => ({
  relation,
  uid: event.uid,
  type: event.type,
  received_at: toIso(event.receivedAtMs),
  origin: event.origin,
  status: event.status,
  size_bytes: event.sizeBytes,
})

const attemptJson = (attempt: Attempt): Static<typeof AttemptSchema> => ({
  number: attempt.number,
  outcome: attempt.outcome,
  ...(attempt.error !== undefined && { error: attempt.error }),
  ...(attempt.errorDetail !== undefined && { error_detail: attempt.errorDetail }),
  ...(attempt.answer !== undefined && { answer: answerJson(attempt.answer) }),
  ...(attempt.cause !== undefined && { cause: attempt.cause }),
  ...(attempt.replay !== undefined && { replay: attempt.replay }),
  started_at: toIso(attempt.startedAtMs),
  duration_ms: attempt.durationMs,
})

export const deliveryJson = (delivery: DeliverySummary): DeliveryJson => ({
  event_uid: delivery.eventUid,
  source: delivery.source,
  type: delivery.type,
  handler: delivery.handler,
  state: delivery.state,
  attempts: delivery.attempts,
  due_at: toIso(delivery.dueAtMs),
  ...(delivery.waitsForTurn === true && { waits_for_turn: true }),
  ...(delivery.lastError !== undefined && { last_error: delivery.lastError }),
  ...(delivery.cause !== undefined && { cause: delivery.cause }),
})

export const replayJson = (uid: string, { status, reasons, handlers, id }: Replayed): ReplayJson => ({
  uid,
  status,
  reasons: [...reasons],
  handlers: [...handlers],
  ...(id !== undefined && { replay: id }),
})
