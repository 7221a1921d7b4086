import { type Static, Type } from '@sinclair/typebox'
import { toIso } from '../../domain/clock.ts'
import { DELIVERY_STATES, type DeliverySummary } from '../../domain/delivery.ts'
import type { DeliveryFilter, DeliveryQueue } from '../../domain/delivery-queue.ts'
import type { OpsApp } from './ops-app.ts'
import { OneOf, PageOf, pageJson, pageQuery, pageRequest, Text } from './paging.ts'

export const DeliverySchema = Type.Object({
  event_uid: Type.String(),
  source: Type.String(),
  type: Type.String(),
  handler: Type.String(),
  state: OneOf(DELIVERY_STATES),
  attempts: Type.Integer({ description: 'Counted since it was created or last replayed' }),
  due_at: Type.String({
    format: 'date-time',
    description: 'When it may run next; for a terminal one, when it became so: of a dead one, when it died',
  }),
  last_error: Type.Optional(Type.String()),
})

/** A delivery as the ops API shows it. */
export type DeliveryJson = Static<typeof DeliverySchema>

export const deliveryJson = (delivery: DeliverySummary): DeliveryJson => ({
  event_uid: delivery.eventUid,
  source: delivery.source,
  type: delivery.type,
  handler: delivery.handler,
  state: delivery.state,
  attempts: delivery.attempts,
  due_at: toIso(delivery.dueAtMs),
  ...(delivery.lastError !== undefined && { last_error: delivery.lastError }),
})

const Query = Type.Object(
  {
    state: Type.Optional(OneOf(DELIVERY_STATES)),
    handler: Type.Optional(Text('Name of the handler')),
    source: Type.Optional(Text('Name of the source')),
    event_uid: Type.Optional(Text('Uid of the event')),
    ...pageQuery,
  },
  { additionalProperties: false },
)

export function registerDeliveries(app: OpsApp, store: DeliveryQueue): void {
  app.get(
    '/v1/deliveries',
    {
      schema: {
        summary:
          'Deliveries, those of the newest event first; state=dead lists the dead letters, the last to die first',
        tags: ['deliveries'],
        querystring: Query,
        response: { 200: PageOf(DeliverySchema) },
      },
    },
    async ({ query }, reply) =>
      reply.send(pageJson(await store.deliveries(filterOf(query), pageRequest(query)), deliveryJson)),
  )
}

const filterOf = ({ state, handler, source, event_uid }: Static<typeof Query>): DeliveryFilter => ({
  ...(state !== undefined && { state }),
  ...(handler !== undefined && { handler }),
  ...(source !== undefined && { source }),
  ...(event_uid !== undefined && { eventUid: event_uid }),
})
