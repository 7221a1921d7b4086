import type { Logger } from 'pino'
import { toIso } from '../domain/clock.ts'
import type { LeasedDelivery } from '../domain/delivery.ts'
import type { LeaseOffer, NewEvent } from '../domain/event.ts'
import type { Receipt, Store } from '../domain/store.ts'
import type { Telemetry } from '../domain/telemetry.ts'
import type { Reading } from './read-event.ts'

export interface KeepOptions {
  readonly append: Store['append']
  readonly telemetry: Telemetry
  readonly log: Logger
  readonly dispatch: {
    /** Which handlers' deliveries would start at once, if any. `take` must follow. */
    offer(handlers: readonly string[]): LeaseOffer | undefined
    take(offer: LeaseOffer, event: NewEvent, leased?: readonly LeasedDelivery[]): void
    /** Deliveries of these handlers are on disk. */
    wake(handlers: readonly string[]): void
  }
}

/** Brings an event to disk and tells what came of it: where both doors end. Rejects as `Store.append` does. */
export type Keep = (event: NewEvent, reading: Reading, requestId?: string) => Promise<Receipt>

export function createKeeper(options: KeepOptions): Keep {
  const { log, telemetry } = options
  return async (event, reading, requestId) => {
    const receipt = await appendAndDispatch(options, event)
    const about = {
      ...(requestId !== undefined && { reqId: requestId }),
      uid: receipt.uid,
      source: event.source,
      type: event.type,
    }
    if (!wasKept(receipt, event)) return receipt
    telemetry.received(event.source, event.type)
    if (receipt.outcome === 'accepted') {
      report(options, about, event, reading)
    } else if (receipt.outcome === 'conflict') {
      log.warn({ ...about, id: event.id }, 'event in conflict with an earlier one of its id: kept, not dispatched')
    } else if (receipt.outcome === 'superseded') {
      log.info({ ...about, task: event.task }, 'event of a task that another one has ended: kept, not dispatched')
    }
    return receipt
  }
}

/** Whether the event is in the store on its own account: a duplicate, of a conflicting event too, has the uid of the first. */
export const wasKept = ({ outcome, uid }: Receipt, event: NewEvent): boolean =>
  outcome !== 'duplicate' && outcome !== 'fenced' && uid === event.uid

/** What can start at once is leased as the event is stored; what cannot is left for the dispatcher to find. */
async function appendAndDispatch({ append, dispatch }: KeepOptions, event: NewEvent): Promise<Receipt> {
  const offer = event.handlers.length === 0 ? undefined : dispatch.offer(event.handlers)
  let receipt: Receipt | undefined
  try {
    receipt = await append(offer === undefined ? event : { ...event, lease: offer })
    return receipt
  } finally {
    const leased = receipt?.leased ?? []
    // As the store shows it to whoever runs it later.
    const { receivedAtMs = event.receivedAtMs } = receipt ?? {}
    if (offer !== undefined) dispatch.take(offer, { ...event, receivedAtMs }, leased)
    if (receipt?.outcome === 'accepted') wakeForRest(dispatch, event.handlers, leased)
  }
}

function wakeForRest(
  dispatch: KeepOptions['dispatch'],
  handlers: readonly string[],
  leased: readonly LeasedDelivery[],
): void {
  const rest = handlers.filter((name) => !leased.some(({ handler }) => handler === name))
  if (rest.length > 0) dispatch.wake(rest)
}

/** Keys of an unhandled payload that a log line names, and characters of each. */
const MAX_LOGGED_KEYS = 32
const MAX_KEY_LENGTH = 64

function report({ telemetry, log }: KeepOptions, about: object, event: NewEvent, reading: Reading): void {
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
