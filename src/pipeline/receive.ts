import type { Logger } from 'pino'
import type { Clock } from '../domain/clock.ts'
import { isHoldfastError, messageOf } from '../domain/errors.ts'
import type { NewEvent } from '../domain/event.ts'
import type { Receipt } from '../domain/event-store.ts'
import { type Receive, type Received, unproven } from '../domain/receive.ts'
import type { SecretFilter } from '../log/redact.ts'
import { type BodyReader, webhookContext } from './body-reader.ts'
import type { ClockWatch } from './clock-watch.ts'
import { newEvent, type WriteEvent, wasKept } from './event-writer.ts'
import type { Redeliver } from './replay.ts'

export interface ReceiveOptions {
  readonly writeEvent: WriteEvent
  readonly reader: Pick<BodyReader, 'event'>
  readonly redeliver: Redeliver
  readonly withoutSecrets: SecretFilter['headers']
  readonly clock: Clock
  readonly clockWatch: Pick<ClockWatch, 'proven' | 'stale'>
  readonly log: Logger
}

export interface Receiver {
  readonly receive: Receive
  /** Events that wait to be stored right now. */
  readonly receiving: () => number
}

/** The road of an event to the disk: verify → parse → validate and route → append. Only then is it acknowledged. */
export function createReceiver(options: ReceiveOptions): Receiver {
  const { writeEvent, reader, redeliver, withoutSecrets, clock, clockWatch, log } = options
  let storing = 0

  const receive: Receive = async (incoming) => {
    const receivedAtMs = clock()
    const { source, body, requestId } = incoming
    const verdict = source.verify(incoming, receivedAtMs)
    if (!verdict.ok) {
      const isOurFault = verdict.reason === 'stale' && clockWatch.stale(source.name, body, verdict.aheadMs)
      return isOurFault ? { outcome: 'unavailable' } : unproven(verdict)
    }
    if (verdict.aheadMs !== undefined) clockWatch.proven(verdict.aheadMs)

    // All that is read and kept of them from here on; only the proof needed the rest.
    const headers = withoutSecrets(incoming.headers)
    storing++
    try {
      const { reading, routing } = await reader.event(source, webhookContext({ headers, receivedAtMs }), body)
      const event = newEvent({ source, headers, body, receivedAtMs, origin: 'webhook' }, reading, routing)
      const receipt = await writeEvent(event, reading, requestId)
      if (receipt.dead !== undefined) await redeliver({ source, uid: receipt.uid, dead: receipt.dead, requestId })
      return receivedAs(receipt, event)
    } catch (error) {
      // A store that is away is told of once, and counted in the metrics.
      const level = isHoldfastError(error, 'unavailable') ? 'debug' : 'error'
      log[level]({ reqId: requestId, source: source.name, error: messageOf(error) }, 'event not stored')
      return { outcome: 'unavailable' }
    } finally {
      storing--
    }
  }
  return { receive, receiving: () => storing }
}

function receivedAs(receipt: Receipt, event: NewEvent): Received {
  const { outcome, uid } = receipt
  if (outcome === 'fenced') return { outcome: 'unavailable' }
  if (!wasKept(receipt, event)) return { outcome: 'duplicate', uid }
  return { outcome: outcome === 'accepted' ? event.status : outcome, uid }
}
