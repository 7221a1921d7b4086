import { toIso } from '../domain/clock.ts'
import type { AskedUnder, Headers, NewEvent } from '../domain/event.ts'
import type { Source } from '../domain/source.ts'
import { newUid } from '../domain/uid.ts'
import type { Reading } from './read-event.ts'
import type { Routing } from './routes.ts'

/** What came, whichever way. */
export interface Arrival {
  readonly source: Source
  readonly headers: Headers
  readonly body: Buffer
  readonly receivedAtMs: number
  readonly origin: NewEvent['origin']
  readonly asked?: AskedUnder
}

/** An event as the store takes it. */
export function newEvent(arrival: Arrival, reading: Reading, routing: Routing): NewEvent {
  const { source, headers, body, receivedAtMs, origin, asked } = arrival
  const fields = reading.ok ? reading.fields : unreadFields(reading, receivedAtMs)
  const { traceparent } = headers
  return {
    uid: newUid(),
    source: source.name,
    provider: source.provider.name,
    id: fields.id,
    type: fields.type,
    created_at: fields.created_at,
    created_at_source: fields.created_at_source,
    receivedAtMs,
    origin,
    status: routing.status,
    reasons: routing.reasons,
    ...('api_version' in fields && { api_version: fields.api_version }),
    ...('task' in fields && { task: fields.task }),
    ...(reading.ok && endsItsTask(arrival, routing) && reading.end !== undefined && { taskEnd: reading.end }),
    ...(asked !== undefined && { asked }),
    headers: storedHeaders(source, headers),
    ...(traceparent !== undefined && TRACEPARENT.test(traceparent) && { traceparent }),
    body,
    ...(source.dedupe === 'body' && asked === undefined && { dedupe: 'body' }),
    ...(routing.unjudged !== undefined && { unjudged: routing.unjudged }),
    handlers: routing.handlers,
  }
}

const unreadFields = ({ id, type }: { readonly id: string; readonly type: string }, receivedAtMs: number) =>
  ({ id, type, created_at: toIso(receivedAtMs), created_at_source: 'received' }) as const

/**
 * A webhook that reaches no handler for its content, or because its source does not take it, leaves its task to be asked for:
 * the answer may reach them. An answer ends its task, however it is kept, or it would be asked for without end.
 */
const endsItsTask = ({ origin }: Arrival, { status, reasons }: Routing): boolean =>
  origin === 'poll' || status === 'accepted' || (status === 'unhandled' && reasons.length === 0)

/** W3C Trace Context, version 00. */
const TRACEPARENT = /^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/

/** Headers of the connection or of the way here, and those that carry a credential; none is the provider's word. */
const NEVER_STORED = new Set([
  'authorization',
  'proxy-authorization',
  'cookie',
  'set-cookie',
  'host',
  'connection',
  'keep-alive',
  'transfer-encoding',
  'te',
  'trailer',
  'upgrade',
  'expect',
  'accept',
  'accept-encoding',
])

function storedHeaders(source: Source, headers: Headers): Headers {
  const stored: Record<string, string> = Object.create(null)
  for (const name in headers) {
    const value = headers[name]
    if (value !== undefined && !NEVER_STORED.has(name) && !source.secretHeaders.includes(name)) stored[name] = value
  }
  return stored
}
