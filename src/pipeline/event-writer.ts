import type { Logger } from 'pino'
import { toIso } from '../domain/clock.ts'
import type { LeasedDelivery } from '../domain/delivery.ts'
import type { Headers, LeaseOffer, NewEvent, TaskLease, VerifiedBy } from '../domain/event.ts'
import type { EventStore, Receipt } from '../domain/event-store.ts'
import { newUid } from '../domain/names.ts'
import { indexedValues } from '../domain/payload-index.ts'
import type { Source } from '../domain/source.ts'
import type { Telemetry } from '../domain/telemetry.ts'
import type { ReadResult, UnreadableEvent } from './read-event.ts'
import type { RouteResult } from './routes.ts'

interface EventWriterOptions {
  readonly append: EventStore['append']
  readonly telemetry: Telemetry
  readonly log: Logger
  /** Called with each event of a provider that is stored and understood, after its commit. Returns at once. */
  readonly onUnderstood?: (event: NewEvent) => void
  readonly dispatch: {
    /** Offers to lease the deliveries of these handlers that could start at once. The caller must call `take` with the offer. */
    offer(handlers: readonly string[], source: string): LeaseOffer | undefined
    take(offer: LeaseOffer, event: NewEvent, leased?: readonly LeasedDelivery[]): void
    /** Tells the dispatcher that deliveries of these handlers are on disk. */
    wake(handlers: readonly string[]): void
  }
}

/** Stores an event, dispatches it, and logs and counts the result: the last step for webhooks and poll answers. Rejects as `EventStore.append` does. */
export type WriteEvent = (event: NewEvent, reading: ReadResult, requestId?: string) => Promise<Receipt>

export function createEventWriter(options: EventWriterOptions): WriteEvent {
  const { log, telemetry } = options
  return async (event, reading, requestId) => {
    const receipt = await appendAndDispatch(options, event)
    const about = {
      ...(requestId !== undefined && { reqId: requestId }),
      uid: receipt.uid,
      source: event.source,
      type: event.type,
    }
    if (!wasStored(receipt, event)) return receipt
    telemetry.received(event.source, event.type)
    const isUnderstood = receipt.outcome === 'accepted' && reading.ok && event.status !== 'quarantined'
    if (isUnderstood && event.origin !== 'sample') options.onUnderstood?.(event)
    if (receipt.outcome === 'accepted') {
      report(options, about, event, reading)
    } else if (receipt.outcome === 'conflict') {
      log.warn(
        { ...about, id: event.id },
        'event in conflict with an earlier event of the same id: stored, not dispatched',
      )
    } else if (receipt.outcome === 'superseded') {
      log.info({ ...about, task: event.task }, 'event of a task that another event has ended: stored, not dispatched')
    }
    return receipt
  }
}

/** Whether this event is in the store. The receipt of a duplicate, also of a conflict that came again, names the event stored before. */
export const wasStored = ({ outcome, uid }: Receipt, event: NewEvent): boolean =>
  outcome !== 'duplicate' && outcome !== 'fenced' && uid === event.uid

/** The transaction that stores the event also leases the deliveries that can start at once. The dispatcher claims the others later. */
async function appendAndDispatch({ append, dispatch }: EventWriterOptions, event: NewEvent): Promise<Receipt> {
  const { handlers, orderKeys } = event
  // Only the store knows whether a delivery with an order key may run.
  const unordered = orderKeys === undefined ? handlers : handlers.filter((name) => !Object.hasOwn(orderKeys, name))
  const offer = unordered.length === 0 ? undefined : dispatch.offer(unordered, event.source)
  let receipt: Receipt | undefined
  try {
    receipt = await append(offer === undefined ? event : { ...event, lease: offer })
    return receipt
  } finally {
    const leased = receipt?.leased ?? []
    // The stored time of receipt, so that every attempt sees the same time.
    const { receivedAtMs = event.receivedAtMs } = receipt ?? {}
    if (offer !== undefined) dispatch.take(offer, { ...event, receivedAtMs }, leased)
    if (receipt?.outcome === 'accepted') wakeForRest(dispatch, handlers, leased)
  }
}

function wakeForRest(
  dispatch: EventWriterOptions['dispatch'],
  handlers: readonly string[],
  leased: readonly LeasedDelivery[],
): void {
  const rest = handlers.filter((name) => !leased.some(({ handler }) => handler === name))
  if (rest.length > 0) dispatch.wake(rest)
}

/** How many keys of an unhandled payload a log line names, and how many characters of each. */
const MAX_LOGGED_KEYS = 32
const MAX_KEY_LENGTH = 64

function report({ telemetry, log }: EventWriterOptions, about: object, event: NewEvent, reading: ReadResult): void {
  if (event.status === 'accepted') return
  if (event.status === 'quarantined') {
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

/** A webhook, the answer to a poll, or the expiry of a task, before it is an event. */
export interface Arrival {
  readonly source: Pick<Source, 'name' | 'provider' | 'dedupe' | 'keys' | 'secretHeaders'>
  readonly headers: Headers
  readonly body: Buffer
  readonly receivedAtMs: number
  readonly origin: NewEvent['origin']
  readonly taskLease?: TaskLease
  readonly receivedFrom?: string
  readonly verifiedBy?: VerifiedBy
}

/** The event to append. */
export function newEvent(arrival: Arrival, reading: ReadResult, routing: RouteResult): NewEvent {
  const { source, headers, body, receivedAtMs, origin, taskLease, receivedFrom, verifiedBy } = arrival
  const fields = reading.ok ? reading.fields : unreadableFields(reading, receivedAtMs)
  const { traceparent } = headers
  const uid = newUid()
  // An event of the provider must not be taken for a duplicate of a sample, whatever data the sample was given.
  const isSample = origin === 'sample'
  return {
    uid,
    source: source.name,
    provider: source.provider.name,
    id: isSample ? `sample_${uid}` : fields.id,
    type: fields.type,
    createdAt: fields.created_at,
    createdAtSource: fields.created_at_source,
    receivedAtMs,
    origin,
    status: routing.status,
    reasons: routing.reasons,
    ...('api_version' in fields && { apiVersion: fields.api_version }),
    ...('task' in fields && { task: fields.task }),
    ...(reading.ok && endsItsTask(arrival, routing) && reading.end !== undefined && { taskEnd: reading.end }),
    ...(taskLease !== undefined && { taskLease }),
    headers: storedHeaders(source, headers),
    ...(traceparent !== undefined && TRACEPARENT.test(traceparent) && { traceparent }),
    ...(receivedFrom !== undefined && { receivedFrom }),
    ...(verifiedBy !== undefined && { verifiedBy }),
    body,
    ...(source.keys.length > 0 && { indexed: indexedValues(source.keys, body, headers['content-type']) }),
    ...(source.dedupe === 'body' && taskLease === undefined && !isSample && { dedupe: 'body' }),
    ...(routing.unjudged !== undefined && { unjudged: routing.unjudged }),
    handlers: routing.handlers,
    ...(routing.orderKeys !== undefined && { orderKeys: routing.orderKeys }),
  }
}

const unreadableFields = ({ id, type }: UnreadableEvent, receivedAtMs: number) =>
  ({ id, type, created_at: toIso(receivedAtMs), created_at_source: 'received' }) as const

/**
 * Whether the event ends its task. A webhook does not if it is quarantined, or if its source does not accept its type: then the poller
 * polls the task, and the answer may reach the handlers. The answer to a poll always ends its task; otherwise the poller would poll
 * for ever. A sample tells nothing of a task.
 */
const endsItsTask = ({ origin }: Arrival, { status, reasons }: RouteResult): boolean =>
  origin === 'poll' ||
  (origin !== 'sample' && (status === 'accepted' || (status === 'unhandled' && reasons.length === 0)))

/** W3C Trace Context, version 00. */
const TRACEPARENT = /^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/

/** Headers that belong to the connection or to proxies, or carry a credential. None of them belongs to the provider's event. */
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

function storedHeaders(source: Arrival['source'], headers: Headers): Headers {
  const stored: Record<string, string> = Object.create(null)
  for (const name in headers) {
    const value = headers[name]
    if (value !== undefined && !NEVER_STORED.has(name) && !source.secretHeaders.includes(name)) stored[name] = value
  }
  return stored
}
