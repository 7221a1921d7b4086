import { type Static, Type } from '@sinclair/typebox'
import { checksumOf } from '../../domain/checksum.ts'
import { DELIVERY_STATES } from '../../domain/delivery.ts'
import type { DeliveryFilter, DeliveryQueue, ReplayEvent } from '../../domain/delivery-queue.ts'
import { HoldfastError } from '../../domain/errors.ts'
import type { EventFilter } from '../../domain/event-filter.ts'
import type { EventStore } from '../../domain/event-store.ts'
import { MAX_NAME_LENGTH } from '../../domain/limits.ts'
import { isUid } from '../../domain/names.ts'
import { EVENT_OUTCOMES } from '../../domain/outcome.ts'
import { parseMatch } from '../../domain/payload-match.ts'
import { within } from '../../domain/within.ts'
import { eventFields, payloadFields, receivedFields } from '../schemas/event-filter.ts'
import {
  DeliverySchema,
  deliveryJson,
  EventDetailSchema,
  EventPageSchema,
  eventDetailJson,
  eventPageJson,
  ReplaySchema,
  replayJson,
} from '../schemas/events.ts'
import { OneOf, PageOf, pageJson, Text } from '../schemas/schema.ts'
import { inWords, noteChange } from './audit.ts'
import { filterOf, type OpsApp, pageQuery, pageRequest } from './ops-app.ts'

/** What stands beside an event may need the store's writer, which a hanging disk holds up. */
const BESIDE_MS = 1_000

const EventQuery = Type.Object(
  {
    ...eventFields,
    ...receivedFields,
    outcome: Type.Optional(OneOf(EVENT_OUTCOMES)),
    ...payloadFields,
    ...pageQuery,
  },
  { additionalProperties: false },
)

const DeliveryQuery = Type.Object(
  {
    state: Type.Optional(OneOf(DELIVERY_STATES)),
    handler: Type.Optional(Text('Name of the handler')),
    source: Type.Optional(Text('Name of the source')),
    event_uid: Type.Optional(Text('Uid of the event')),
    cause: Type.Optional(Text('Id of the cause of death')),
    ...pageQuery,
  },
  { additionalProperties: false },
)

const Params = Type.Object({ uid: Type.String() })

const ReplayBody = Type.Object(
  { handler: Type.Optional(Type.String({ minLength: 1, maxLength: MAX_NAME_LENGTH })) },
  { additionalProperties: false },
)

export function registerEvents(app: OpsApp, store: EventStore): void {
  app.get(
    '/v1/events',
    {
      schema: {
        summary: 'Events, newest first',
        tags: ['events'],
        querystring: EventQuery,
        response: { 200: EventPageSchema },
      },
    },
    async ({ query }, reply) => reply.send(eventPageJson(await store.events(eventFilter(query), pageRequest(query)))),
  )

  app.get(
    '/v1/events/:uid',
    {
      schema: {
        summary: 'An event with its deliveries and their attempts, and the events beside it',
        tags: ['events'],
        params: Params,
        response: { 200: EventDetailSchema },
      },
    },
    async ({ params }, reply) => {
      const uid = uidOf(params)
      const event = (await store.event(uid)) ?? notFound(uid)
      // What cannot be read beside an event does not keep the event itself from being read.
      const beside = await within(BESIDE_MS, store.beside(uid))
      return reply.send(eventDetailJson(event, beside))
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

export function registerReplays(app: OpsApp, replay: ReplayEvent): void {
  app.post(
    '/v1/events/:uid/replay',
    {
      config: { audit: 'event.replay' },
      schema: {
        summary: 'Run an event again: 202 if a handler will run, 200 if none wants it',
        tags: ['events'],
        params: Params,
        body: ReplayBody,
        response: { 200: ReplaySchema, 202: ReplaySchema },
      },
    },
    async (request, reply) => {
      const uid = uidOf(request.params)
      const { handler } = request.body
      noteChange(request, { target: `${uid} ${inWords({ handler })}` })
      const replayed = await replay(uid, handler)
      noteChange(request, { count: replayed.handlers.length })
      return reply.code(replayed.handlers.length > 0 ? 202 : 200).send(replayJson(uid, replayed))
    },
  )
}

export function registerDeliveries(app: OpsApp, store: DeliveryQueue): void {
  app.get(
    '/v1/deliveries',
    {
      schema: {
        summary:
          'Deliveries, those of the newest event first; state=dead lists the dead letters, the last to die first',
        tags: ['deliveries'],
        querystring: DeliveryQuery,
        response: { 200: PageOf(DeliverySchema) },
      },
    },
    async ({ query }, reply) =>
      reply.send(pageJson(await store.deliveries(deliveryFilter(query), pageRequest(query)), deliveryJson)),
  )
}

/** A text that is no uid names no event, so the store is not searched for it. */
export function uidOf({ uid }: Static<typeof Params>): string {
  const lower = uid.toLowerCase()
  return isUid(lower) ? lower : notFound(uid)
}

function notFound(uid: string): never {
  throw new HoldfastError('event_not_found', `there is no event ${uid}`)
}

export const eventFilter = ({ match, ...same }: Static<typeof EventQuery>): EventFilter => ({
  ...filterOf(same),
  ...(match !== undefined && { match: match.map(parseMatch) }),
})

const deliveryFilter = ({ event_uid, ...same }: Static<typeof DeliveryQuery>): DeliveryFilter => ({
  ...filterOf(same),
  ...(event_uid !== undefined && { eventUid: event_uid }),
})
