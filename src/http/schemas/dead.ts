import { type Static, Type } from '@sinclair/typebox'
import { toIso } from '../../domain/clock.ts'
import { type DeadCause, HOURS_SHOWN, MAX_COUNTED } from '../../domain/dead-letters.ts'
import { eventFields, receivedFields } from './event-filter.ts'
import { DeliverySchema } from './events.ts'
import { Text, Time } from './schema.ts'

/** Dead deliveries of one handler and source with one cause. */
export const DeadCauseSchema = Type.Object({
  cause: Type.String({ description: 'Id of the cause: a filter of deliveries, replays and discards' }),
  error: Type.String({ description: 'The error, without numbers, ids, addresses and quoted values' }),
  at: Type.Optional(Type.String({ description: "The line of the handler's own code, relative to HANDLERS_DIR" })),
  handler: Type.String(),
  source: Type.String(),
  count: Type.Integer(),
  count_more: Type.Optional(Type.Literal(true, { description: `There are more than ${MAX_COUNTED}` })),
  first_at: Time('When the first of them died'),
  last_at: Time('When the last of them died'),
  hourly: Type.Array(Type.Integer(), {
    description: `Deaths in each of the last ${HOURS_SHOWN} hours, the last 60 minutes last`,
  }),
})

export const DeadListSchema = Type.Object({
  items: Type.Array(DeadCauseSchema),
  unnamed: Type.Integer({ description: 'Further dead deliveries, whose causes are not found out yet' }),
  next_cursor: Type.Union([Type.String(), Type.Null()]),
})

export const DiscardFilterSchema = Type.Object(
  {
    ...eventFields,
    ...receivedFields,
    handler: Type.Optional(Text('Name of the handler')),
    cause: Type.Optional(Text('Id of the cause of death')),
  },
  { additionalProperties: false },
)

export const DiscardOrderSchema = Type.Object(
  {
    filter: DiscardFilterSchema,
    all: Type.Optional(Type.Boolean({ description: 'Must be true if the filter is empty' })),
    dry_run: Type.Optional(Type.Boolean({ description: 'Only count, and show some' })),
  },
  { additionalProperties: false },
)

export const DiscardMatchedSchema = Type.Object({
  matched: Type.Integer({ description: 'Dead deliveries that match' }),
  matched_more: Type.Optional(Type.Literal(true, { description: 'There may be more than were counted' })),
  sample: Type.Array(DeliverySchema),
})

export const DiscardedSchema = Type.Object({
  discarded: Type.Integer({ description: 'Deliveries that were dead and are discarded now' }),
  more: Type.Optional(Type.Literal(true, { description: 'There are more: send the request again' })),
})

export const EventDiscardedSchema = Type.Object({
  uid: Type.String(),
  handlers: Type.Array(Type.String(), { description: 'The handlers whose dead deliveries are discarded now' }),
})

export type DeadCauseJson = Static<typeof DeadCauseSchema>
export type DeadListJson = Static<typeof DeadListSchema>
export type DiscardMatchedJson = Static<typeof DiscardMatchedSchema>
export type DiscardedJson = Static<typeof DiscardedSchema>
export type EventDiscardedJson = Static<typeof EventDiscardedSchema>

export const deadCauseJson = (cause: DeadCause): DeadCauseJson => ({
  cause: cause.id,
  error: cause.signature,
  ...(cause.at !== undefined && { at: cause.at }),
  handler: cause.handler,
  source: cause.source,
  count: cause.count,
  ...(cause.isCapped && { count_more: true }),
  first_at: toIso(cause.firstAtMs),
  last_at: toIso(cause.lastAtMs),
  hourly: [...cause.hourly],
})
