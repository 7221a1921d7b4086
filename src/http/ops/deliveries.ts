import { type Static, Type } from '@sinclair/typebox'
import { DELIVERY_STATES } from '../../domain/delivery.ts'
import type { DeliveryFilter, Store } from '../../domain/store.ts'
import type { OpsApp } from './ops-app.ts'
import { OneOf, PageOf, pageAnswer, pageQuery, pageRequest, Text } from './paging.ts'

export const DeliverySummarySchema = Type.Object({
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

export function registerDeliveries(app: OpsApp, store: Pick<Store, 'deliveries'>): void {
  app.get(
    '/v1/deliveries',
    {
      schema: {
        summary:
          'Deliveries, those of the newest event first; state=dead lists the dead letters, the last to die first',
        tags: ['deliveries'],
        querystring: Query,
        response: { 200: PageOf(DeliverySummarySchema) },
      },
    },
    async ({ query }, reply) => reply.send(pageAnswer(await store.deliveries(filterOf(query), pageRequest(query)))),
  )
}

const filterOf = ({ state, handler, source, event_uid }: Static<typeof Query>): DeliveryFilter => ({
  ...(state !== undefined && { state }),
  ...(handler !== undefined && { handler }),
  ...(source !== undefined && { source }),
  ...(event_uid !== undefined && { eventUid: event_uid }),
})
