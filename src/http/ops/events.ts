import { type Static, Type } from '@sinclair/typebox'
import { checksumOf } from '../../domain/checksum.ts'
import { toIso } from '../../domain/clock.ts'
import type { Attempt } from '../../domain/delivery.ts'
import { HoldfastError } from '../../domain/errors.ts'
import { type CreatedAtSource, EVENT_STATUSES, type EventSummary, ORIGINS } from '../../domain/event.ts'
import type { EventDetail, EventFilter, EventStore } from '../../domain/event-store.ts'
import { isUid } from '../../domain/names.ts'
import { DeliverySchema, deliveryJson } from './deliveries.ts'
import { ErrorDetailSchema } from './error-detail.ts'
import type { OpsApp } from './ops-app.ts'
import { OneOf, PageOf, pageJson, pageQuery, pageRequest, Text } from './paging.ts'

const CREATED_AT_SOURCES = ['provider', 'received'] as const satisfies readonly CreatedAtSource[]
const Time = (description?: string) => Type.String({ format: 'date-time', ...(description && { description }) })

const Summary = Type.Object({
  uid: Type.String(),
  source: Type.String(),
  provider: Type.String(),
  id: Type.String({ description: 'The id that the provider gave' }),
  type: Type.String(),
  created_at: Type.String(),
  // `received`: the provider gave no time that could be read.
  created_at_source: Type.Optional(OneOf(CREATED_AT_SOURCES)),
  received_at: Time(),
  origin: OneOf(ORIGINS),
  status: OneOf(EVENT_STATUSES),
  reasons: Type.Array(Type.String()),
  api_version: Type.Optional(Type.String()),
  task: Type.Optional(Type.String()),
  size_bytes: Type.Integer(),
})

const AttemptSchema = Type.Object({
  number: Type.Integer(),
  outcome: Type.String(),
  error: Type.Optional(Type.String()),
  error_detail: Type.Optional(ErrorDetailSchema),
  started_at: Time(),
  duration_ms: Type.Number(),
})

const Detail = Type.Composite([
  Summary,
  Type.Object({
    headers: Type.Record(Type.String(), Type.String()),
    traceparent: Type.Optional(Type.String()),
    checksum: Type.String({ description: 'SHA-256 of the body, lower-case hex' }),
    deliveries: Type.Array(Type.Composite([DeliverySchema, Type.Object({ history: Type.Array(AttemptSchema) })])),
  }),
])

/** An event as lists of the ops API show it. */
export type EventJson = Static<typeof Summary>
/** An event as the ops API shows it alone. */
export type EventDetailJson = Static<typeof Detail>

const eventJson = (event: EventSummary): EventJson => ({
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
  reasons: [...event.reasons],
  ...(event.apiVersion !== undefined && { api_version: event.apiVersion }),
  ...(event.task !== undefined && { task: event.task }),
  size_bytes: event.sizeBytes,
})

const eventDetailJson = (event: EventDetail): EventDetailJson => ({
  ...eventJson(event),
  headers: event.headers,
  ...(event.traceparent !== undefined && { traceparent: event.traceparent }),
  checksum: event.checksum,
  deliveries: event.deliveries.map((delivery) => ({
    ...deliveryJson(delivery),
    history: delivery.history.map(attemptJson),
  })),
})

const attemptJson = (attempt: Attempt): Static<typeof AttemptSchema> => ({
  number: attempt.number,
  outcome: attempt.outcome,
  ...(attempt.error !== undefined && { error: attempt.error }),
  ...(attempt.errorDetail !== undefined && { error_detail: attempt.errorDetail }),
  started_at: toIso(attempt.startedAtMs),
  duration_ms: attempt.durationMs,
})

const Query = Type.Object(
  {
    source: Type.Optional(Text('Name of the source')),
    type: Type.Optional(Text('Event type, or a pattern with *')),
    status: Type.Optional(OneOf(EVENT_STATUSES)),
    origin: Type.Optional(OneOf(ORIGINS)),
    task: Type.Optional(Text("The provider's id of the task")),
    since: Type.Optional(Time('Received at or after')),
    until: Type.Optional(Time('Received before')),
    q: Type.Optional(Text('Part of an id, uid, type or task')),
    ...pageQuery,
  },
  { additionalProperties: false },
)

const Params = Type.Object({ uid: Type.String() })

export function registerEvents(app: OpsApp, store: EventStore): void {
  app.get(
    '/v1/events',
    {
      schema: {
        summary: 'Events, newest first',
        tags: ['events'],
        querystring: Query,
        response: { 200: PageOf(Summary) },
      },
    },
    async ({ query }, reply) =>
      reply.send(pageJson(await store.events(filterOf(query), pageRequest(query)), eventJson)),
  )

  app.get(
    '/v1/events/:uid',
    {
      schema: {
        summary: 'An event with its deliveries and their attempts',
        tags: ['events'],
        params: Params,
        response: { 200: Detail },
      },
    },
    async ({ params }, reply) => {
      const uid = uidOf(params)
      return reply.send(eventDetailJson((await store.event(uid)) ?? notFound(uid)))
    },
  )

  app.get(
    '/v1/events/:uid/body',
    {
      schema: {
        summary: 'The exact bytes that the provider sent',
        tags: ['events'],
        params: Params,
        produces: ['application/octet-stream'],
      },
    },
    async ({ params }, reply) => {
      const uid = uidOf(params)
      const body = await store.body(uid)
      const checksum = Buffer.from(await checksumOf(body), 'hex')
      return reply
        .type('application/octet-stream')
        .header('content-disposition', `attachment; filename="${uid}.bin"`)
        .header('repr-digest', `sha-256=:${checksum.toString('base64')}:`)
        .send(Buffer.from(body.buffer, body.byteOffset, body.byteLength))
    },
  )
}

/** Anything but a uid names no event; the store is not asked for it. */
export function uidOf({ uid }: Static<typeof Params>): string {
  const lower = uid.toLowerCase()
  return isUid(lower) ? lower : notFound(uid)
}

function notFound(uid: string): never {
  throw new HoldfastError('event_not_found', `there is no event ${uid}`)
}

function filterOf({ since, until, limit: _limit, cursor: _cursor, ...same }: Static<typeof Query>): EventFilter {
  return {
    ...same,
    ...(since !== undefined && { sinceMs: timeOf('since', since) }),
    ...(until !== undefined && { untilMs: timeOf('until', until) }),
  }
}

/** The schema's grammar allows a leap second, which is no time to JavaScript. */
function timeOf(parameter: string, text: string): number {
  const ms = Date.parse(text)
  if (Number.isNaN(ms)) throw new HoldfastError('invalid_request', `query parameter ${parameter} is not a time`)
  return ms
}
