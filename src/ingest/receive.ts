import type { Logger } from 'pino'
import { type Clock, toIso } from '../domain/clock.ts'
import { isHoldfastError, messageOf } from '../domain/errors.ts'
import type { Headers, NewEvent } from '../domain/event.ts'
import { type Reading, readEvent } from '../domain/read-event.ts'
import type { Incoming, Receive, Received } from '../domain/receive.ts'
import type { Route, Routing } from '../domain/routes.ts'
import type { Source } from '../domain/source.ts'
import type { Receipt, Store } from '../domain/store.ts'
import type { Telemetry } from '../domain/telemetry.ts'
import { newUid } from '../domain/uid.ts'
import type { Verdict } from '../domain/verifier.ts'

export interface ReceiveOptions {
  readonly append: Store['append']
  readonly route: Route
  readonly clock: Clock
  readonly telemetry: Telemetry
  readonly log: Logger
  /** Called after an event with work for a handler is on disk. */
  readonly onWork: () => void
}

export interface Receiver {
  readonly receive: Receive
  /** Whether events wait to be stored right now. */
  readonly isReceiving: () => boolean
}

/** The road of an event to the disk: verify → parse → validate and route → append. Only then is it acknowledged. */
export function createReceiver(options: ReceiveOptions): Receiver {
  const { append, route, clock, log, onWork } = options
  let storing = 0

  const receive: Receive = async (incoming) => {
    const receivedAtMs = clock()
    const verdict = incoming.source.verify(incoming, receivedAtMs)
    if (!verdict.ok) return { outcome: refusals[verdict.reason] }

    const reading = readEvent(incoming.source.provider, incoming.headers, incoming.body, receivedAtMs)
    const routing = routeReading(route, incoming.source, reading)
    const event = newEvent(incoming, receivedAtMs, reading, routing)

    let receipt: Receipt
    storing++
    try {
      receipt = await append(event)
    } catch (error) {
      const level = isHoldfastError(error, 'unavailable') ? 'warn' : 'error'
      log[level]({ reqId: incoming.requestId, source: event.source, error: messageOf(error) }, 'event not stored')
      return { outcome: 'unavailable' }
    } finally {
      storing--
    }
    if (receipt.outcome === 'conflict') reportConflict(options, incoming, event, receipt.uid)
    if (receipt.outcome !== 'accepted') return receipt
    report(options, incoming, event, reading)
    if (event.handlers.length > 0) onWork()
    return { outcome: event.status, uid: receipt.uid }
  }
  return { receive, isReceiving: () => storing > 0 }
}

const refusals = {
  missing: 'signature_missing',
  malformed: 'signature_malformed',
  mismatch: 'signature_mismatch',
  stale: 'timestamp_stale',
  unreadable: 'malformed',
} as const satisfies Record<Extract<Verdict, { ok: false }>['reason'], Received['outcome']>

export const routeReading = (route: Route, source: Source, reading: Reading): Routing =>
  reading.ok ? route(source, reading.fields) : { status: 'quarantined', handlers: [], reasons: reading.reasons }

function newEvent(incoming: Incoming, receivedAtMs: number, reading: Reading, routing: Routing): NewEvent {
  const { source, headers, body } = incoming
  const fields = reading.ok ? reading.fields : { id: reading.id, type: reading.type, created_at: toIso(receivedAtMs) }
  const { traceparent } = headers
  return {
    uid: newUid(),
    source: source.name,
    provider: source.provider.name,
    id: fields.id,
    type: fields.type,
    created_at: fields.created_at,
    receivedAtMs,
    origin: 'webhook',
    status: routing.status,
    reasons: routing.reasons,
    ...('api_version' in fields && { api_version: fields.api_version }),
    ...('task' in fields && { task: fields.task }),
    headers: storedHeaders(source, headers),
    ...(traceparent !== undefined && TRACEPARENT.test(traceparent) && { traceparent }),
    body,
    handlers: routing.handlers,
  }
}

/** W3C Trace Context, version 00. */
const TRACEPARENT = /^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/

/** Headers of the connection or of the way here, and those that carry a credential; none is the provider's word. */
const NEVER_STORED = new Set([
  'authorization',
  'proxy-authorization',
  'cookie',
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

function reportConflict(
  { log }: ReceiveOptions,
  { requestId }: Incoming,
  { source, type, id }: NewEvent,
  uid: string,
): void {
  log.warn(
    { reqId: requestId, uid, source, type, id },
    'event in conflict with an earlier one of its id: kept, not dispatched',
  )
}

/** Keys of an unhandled payload that a log line names, and characters of each. */
const MAX_LOGGED_KEYS = 32
const MAX_KEY_LENGTH = 64

function report({ telemetry, log }: ReceiveOptions, { requestId }: Incoming, event: NewEvent, reading: Reading): void {
  telemetry.received(event.source, event.type)
  if (event.status === 'accepted') return
  const about = { reqId: requestId, uid: event.uid, source: event.source, type: event.type }
  if (event.status === 'quarantined') {
    telemetry.failed(event.source, event.type, '', undefined)
    log.warn({ ...about, reasons: event.reasons }, 'event quarantined')
    return
  }
  telemetry.unhandled(event.source)
  if (!log.isLevelEnabled('info')) return
  const payload = reading.ok ? reading.payload : undefined
  const keys = typeof payload === 'object' && payload !== null ? Object.keys(payload) : []
  log.info(
    {
      ...about,
      received_at: toIso(event.receivedAtMs),
      payload_keys: keys.slice(0, MAX_LOGGED_KEYS).map((key) => key.slice(0, MAX_KEY_LENGTH)),
      ...(event.reasons.length > 0 && { reasons: event.reasons }),
    },
    'event unhandled',
  )
}
