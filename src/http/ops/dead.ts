import { Type } from '@sinclair/typebox'
import type { DeadFilter, DeadLetters, DeadPosition, ReadDeadCauses } from '../../domain/dead-letters.ts'
import { HoldfastError } from '../../domain/errors.ts'
import { MAX_NAME_LENGTH } from '../../domain/limits.ts'
import {
  DeadListSchema,
  DiscardedSchema,
  DiscardMatchedSchema,
  DiscardOrderSchema,
  deadCauseJson,
  EventDiscardedSchema,
} from '../schemas/dead.ts'
import { deliveryJson } from '../schemas/events.ts'
import { Text, Time } from '../schemas/schema.ts'
import { inWords, noteChange, noteNoChange } from './audit.ts'
import { uidOf } from './events.ts'
import { filterOf, type OpsApp, pageQuery, pageRequest } from './ops-app.ts'

/** Deliveries that one request discards at most, and those of one step. */
const MAX_DISCARDED = 100_000
const STEP_SIZE = 1_000
/** Deliveries that a dry run shows. */
const SAMPLE_SIZE = 5

const DeadQuery = Type.Object(
  {
    handler: Type.Optional(Text('Name of the handler')),
    source: Type.Optional(Text('Name of the source')),
    cause: Type.Optional(Text('Id of the cause')),
    since: Type.Optional(Time('Died at or after')),
    until: Type.Optional(Time('Died before')),
    ...pageQuery,
  },
  { additionalProperties: false },
)
const Params = Type.Object({ uid: Type.String() })
const DiscardOfBody = Type.Object(
  { handler: Type.Optional(Type.String({ minLength: 1, maxLength: MAX_NAME_LENGTH })) },
  { additionalProperties: false },
)
const tags = ['dead letters']

/** Dead deliveries by cause. */
export function registerDead(app: OpsApp, causes: ReadDeadCauses): void {
  app.get(
    '/v1/dead',
    {
      schema: {
        summary: 'Dead deliveries by the cause of their death, most of them first',
        tags,
        querystring: DeadQuery,
        response: { 200: DeadListSchema },
      },
    },
    async ({ query }, reply) => {
      const { limit, cursor } = pageRequest(query)
      const from = placeOf(cursor)
      const { causes: found, unnamed } = await causes(filterOf(query))
      const next = from + limit < found.length ? cursorOf(from + limit) : null
      return reply.send({ items: found.slice(from, from + limit).map(deadCauseJson), unnamed, next_cursor: next })
    },
  )
}

export function registerDiscards(app: OpsApp, store: DeadLetters): void {
  app.post(
    '/v1/deliveries/discard',
    {
      config: { audit: 'delivery.discard' },
      schema: {
        summary: 'Discard the dead deliveries that match a filter; with dry_run only count them',
        tags,
        body: DiscardOrderSchema,
        response: { 200: Type.Union([DiscardedSchema, DiscardMatchedSchema]) },
      },
    },
    async (request, reply) => {
      const { filter: given, all = false, dry_run } = request.body
      const filter = filterOf(given)
      if (Object.keys(filter).length === 0 && !all)
        throw new HoldfastError('invalid_request', 'the filter is empty: say "all": true to discard all dead letters')
      if (dry_run === true) {
        noteNoChange(request)
        const { count, more, sample } = await store.matchDead(filter, SAMPLE_SIZE)
        return reply.send({
          matched: count,
          ...(more && { matched_more: true as const }),
          sample: sample.map(deliveryJson),
        })
      }
      const target = inWords(given) || 'all'
      noteChange(request, { target })
      const done = await discardAll(store, filter, (count) => noteChange(request, { target, count }))
      if (done.discarded === 0) noteNoChange(request)
      return reply.send({ discarded: done.discarded, ...(done.more && { more: true as const }) })
    },
  )

  app.post(
    '/v1/events/:uid/discard',
    {
      config: { audit: 'event.discard' },
      schema: {
        summary: "Discard an event's dead deliveries",
        tags,
        params: Params,
        body: DiscardOfBody,
        response: { 200: EventDiscardedSchema },
      },
    },
    async (request, reply) => {
      const uid = uidOf(request.params)
      const { handler } = request.body
      noteChange(request, { target: `${uid} ${inWords({ handler })}` })
      const handlers = await store.discardOf(uid, handler)
      if (handlers.length > 0) noteChange(request, { count: handlers.length })
      else noteNoChange(request)
      return reply.send({ uid, handlers: [...handlers] })
    },
  )
}

/**
 * Discards in steps, so that no acknowledgement waits for more than one. `onStep` is called with the number so far, which stays discarded if
 * a later step fails.
 */
export async function discardAll(
  store: DeadLetters,
  filter: DeadFilter,
  onStep: (discarded: number) => void,
): Promise<{ readonly discarded: number; readonly more: boolean }> {
  let discarded = 0
  let from: DeadPosition | undefined
  do {
    const limit = Math.min(STEP_SIZE, MAX_DISCARDED - discarded)
    const step = await store.discard({ filter, limit, ...(from !== undefined && { from }) })
    discarded += step.discarded
    onStep(discarded)
    from = step.next
  } while (from !== undefined && discarded < MAX_DISCARDED)
  return { discarded, more: from !== undefined }
}

/** A page goes on at a place in the list, which may have changed meanwhile. */
const cursorOf = (place: number): string => Buffer.from(`causes:${place}`).toString('base64url')

function placeOf(cursor: string | undefined): number {
  if (cursor === undefined) return 0
  const place = Number(
    /^causes:(\d{1,6})$/.exec(Buffer.from(cursor, 'base64url').toString('latin1'))?.[1] ?? Number.NaN,
  )
  if (cursorOf(place) !== cursor)
    throw new HoldfastError('invalid_request', 'the cursor is not one that this list gave')
  return place
}
