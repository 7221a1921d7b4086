import type { Logger } from 'pino'
import { toIso } from '../domain/clock.ts'
import type { NewEvent } from '../domain/event.ts'
import type { Reading } from '../domain/read-event.ts'
import type { Receipt, Store } from '../domain/store.ts'
import type { Telemetry } from '../domain/telemetry.ts'

export interface KeepOptions {
  readonly append: Store['append']
  readonly telemetry: Telemetry
  readonly log: Logger
  /** Called after an event with work for a handler is on disk. */
  readonly onWork: () => void
}

/** Brings an event to disk and tells what came of it: where both doors end. Rejects as `Store.append` does. */
export type Keep = (event: NewEvent, reading: Reading, requestId?: string) => Promise<Receipt>

export function createKeeper(options: KeepOptions): Keep {
  const { append, log, onWork } = options
  return async (event, reading, requestId) => {
    const receipt = await append(event)
    const about = {
      ...(requestId !== undefined && { reqId: requestId }),
      uid: receipt.uid,
      source: event.source,
      type: event.type,
    }
    if (receipt.outcome === 'accepted') {
      report(options, about, event, reading)
      if (event.handlers.length > 0) onWork()
    } else if (receipt.outcome === 'conflict') {
      log.warn({ ...about, id: event.id }, 'event in conflict with an earlier one of its id: kept, not dispatched')
    } else if (receipt.outcome === 'superseded') {
      log.info({ ...about, task: event.task }, 'event of a task that another one has ended: kept, not dispatched')
    }
    return receipt
  }
}

/** Keys of an unhandled payload that a log line names, and characters of each. */
const MAX_LOGGED_KEYS = 32
const MAX_KEY_LENGTH = 64

function report({ telemetry, log }: KeepOptions, about: object, event: NewEvent, reading: Reading): void {
  telemetry.received(event.source, event.type)
  if (event.status === 'accepted') return
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
