import { type Static, Type } from '@sinclair/typebox'
import type { preValidationHookHandler } from 'fastify'
import type { Logger } from 'pino'
import { HoldfastError, messageOf } from '../../domain/errors.ts'
import type { EventSummary } from '../../domain/event.ts'
import type { LiveEnd, LiveEvents, LiveReader, LiveRequest } from '../../domain/live.ts'
import { EVENT_OUTCOMES } from '../../domain/outcome.ts'
import { sendProblem } from '../problems.ts'
import { eventFields, payloadFields } from '../schemas/event-filter.ts'
import { eventJson } from '../schemas/events.ts'
import { OneOf, Time } from '../schemas/schema.ts'
import { clientGone } from './client-gone.ts'
import { EventStream } from './event-stream.ts'
import { eventFilter } from './events.ts'
import type { OpsApp } from './ops-app.ts'

/** The longest silence of a stream. */
const HEARTBEAT_MS = 15_000
/** How long a client should wait before it connects again. */
const RETRY_MS = 2_000

const Query = Type.Object(
  {
    ...eventFields,
    outcome: Type.Optional(OneOf(EVENT_OUTCOMES, 'Each event is sent when it gets this outcome')),
    ...payloadFields,
    since: Type.Optional(Time('Begins with the stored events received at or after; else with the next event')),
    last_event_id: Type.Optional(
      Type.String({
        pattern: '^\\d{1,15}$',
        description: 'Goes on after this id of an earlier stream, for clients that cannot send Last-Event-ID',
      }),
    ),
  },
  { additionalProperties: false },
)

const Headers = Type.Object({
  'last-event-id': Type.Optional(Type.String({ description: 'Goes on after this id of an earlier stream' })),
})

/** Fields of the list of events that a stream cannot have. */
const REFUSED: Readonly<Record<string, string>> = {
  until: 'a stream has no end',
  limit: 'a stream has no pages',
  cursor: 'a stream has no pages: use last_event_id',
}

const refuseFilters: preValidationHookHandler = (request, reply, done) => {
  const name = Object.keys(request.query as object).find((each) => Object.hasOwn(REFUSED, each))
  if (name === undefined) return done()
  sendProblem(reply, 'invalid_request', { detail: `query parameter ${name} is for lists only: ${REFUSED[name]}` })
}

/** Every event as it is stored, as server-sent events. */
export function registerLive(app: OpsApp, live: LiveEvents, log: Logger): void {
  app.get(
    '/v1/live',
    {
      preValidation: refuseFilters,
      schema: {
        summary: 'Every event as it is stored or gets an outcome, as server-sent events; goes on after Last-Event-ID',
        tags: ['events'],
        querystring: Query,
        headers: Headers,
        produces: ['text/event-stream'],
      },
    },
    async (request, reply) => {
      const reader = await live.open(requestOf(request.query, request.headers['last-event-id']))
      const gone = clientGone(request.raw, reply.raw)
      const stream = new EventStream(reply.raw, gone)
      reply.hijack()
      stream.begin(reply.getHeaders())
      try {
        await send(reader, stream, gone)
      } catch (error) {
        log.warn({ reqId: request.id, error: messageOf(error) }, 'a live stream has failed')
        stream.end(over('failed'))
      } finally {
        reader.close()
      }
    },
  )
}

function requestOf({ last_event_id, ...query }: Static<typeof Query>, header: string | undefined): LiveRequest {
  // A client that connects again sends the header with the URL that it began with.
  const id = header === undefined || header === '' ? last_event_id : header
  if (id !== undefined && !/^\d{1,15}$/.test(id))
    throw new HoldfastError('invalid_request', 'the Last-Event-ID is not one that this stream gave')
  return {
    filter: eventFilter(query),
    ...(id !== undefined && { after: Number(id) }),
  }
}

async function send(reader: LiveReader, stream: EventStream, gone: AbortSignal): Promise<void> {
  // A client that loses the connection before the first event goes on from here.
  let isReading = await stream.write(`retry: ${RETRY_MS}\nid: ${reader.position()}\n\n`)
  let retry = `retry: ${RETRY_MS}\n`
  while (isReading) {
    const batch = await reader.next(HEARTBEAT_MS, gone)
    if ('end' in batch) return stream.end(over(batch.end))
    // The heartbeat moves the client's position past the events that do not match.
    if (batch.events.length === 0) isReading = await stream.write(`: heartbeat\nid: ${reader.position()}\n\n`)
    else {
      const messages = batch.events.map(({ position, event }) => message(position, event))
      isReading = await stream.write(retry + messages.join(''))
      retry = ''
    }
  }
  stream.end(gone.aborted ? '' : over('slow'))
}

const ENDS: Readonly<Record<LiveEnd | 'failed', string>> = {
  stopping: 'the service stops',
  slow: 'events came faster than they were read: connect again to go on',
  failed: 'the events could not be read: connect again to go on',
}

const over = (reason: LiveEnd | 'failed'): string =>
  `event: over\ndata: ${JSON.stringify({ reason, detail: ENDS[reason] })}\n\n`

/** One text for all readers. */
const written = new WeakMap<EventSummary, string>()

function message(position: number, event: EventSummary): string {
  const json = written.get(event) ?? JSON.stringify(eventJson(event))
  written.set(event, json)
  return `id: ${position}\nevent: event\ndata: ${json}\n\n`
}
