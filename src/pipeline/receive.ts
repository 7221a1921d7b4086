import type { Logger } from 'pino'
import type { Clock } from '../domain/clock.ts'
import { isHoldfastError, messageOf } from '../domain/errors.ts'
import type { NewEvent } from '../domain/event.ts'
import type { Receipt } from '../domain/event-store.ts'
import { type Incoming, type Receive, type Received, unproven } from '../domain/receive.ts'
import type { SecretFilter } from '../log/redact.ts'
import { type BodyReader, webhookContext } from './body-reader.ts'
import type { ClockWatch } from './clock-watch.ts'
import { type Arrival, newEvent, type WriteEvent, wasStored } from './event-writer.ts'
import type { Redeliver } from './replay.ts'
import type { SecretUses } from './secret-use.ts'

interface ReceiveOptions {
  readonly writeEvent: WriteEvent
  readonly reader: Pick<BodyReader, 'event'>
  readonly redeliver: Redeliver
  readonly withoutSecrets: SecretFilter['headers']
  readonly clock: Clock
  readonly secretUses: Pick<SecretUses, 'verified' | 'countOf'>
  readonly clockWatch: Pick<ClockWatch, 'proven' | 'stale'>
  readonly log: Logger
}

interface Receiver {
  readonly receive: Receive
  /** How many events are being stored now. */
  readonly receiving: () => number
}

/** Receives webhooks: verify → parse and read → validate and route → append. The service acknowledges a webhook only after the append. */
export function createReceiver(options: ReceiveOptions): Receiver {
  const { writeEvent, reader, redeliver, withoutSecrets, secretUses, clock, clockWatch, log } = options
  let storing = 0

  const receive: Receive = async (incoming) => {
    const receivedAtMs = clock()
    const { source, body, requestId, isSample = false } = incoming
    const verification = source.verify(incoming, receivedAtMs)
    if (!verification.ok) {
      const isOurFault = verification.reason === 'stale' && clockWatch.stale(source.name, body, verification.aheadMs)
      return isOurFault ? { outcome: 'unavailable' } : unproven(verification)
    }
    if (!isSample) {
      if (verification.secret !== undefined) secretUses.verified(source.name, verification.secret, receivedAtMs)
      if (verification.aheadMs !== undefined) clockWatch.proven(verification.aheadMs)
    }

    // Only the verification needs the headers with secrets.
    const headers = withoutSecrets(incoming.headers)
    storing++
    try {
      const { reading, routing } = await reader.event(source, webhookContext({ headers, receivedAtMs }), body)
      const origin = isSample ? 'sample' : 'webhook'
      const event = newEvent(
        { source, headers, body, receivedAtMs, origin, ...cameBy(incoming, verification.secret) },
        reading,
        routing,
      )
      const receipt = await writeEvent(event, reading, requestId)
      if (receipt.dead !== undefined) await redeliver({ source, uid: receipt.uid, dead: receipt.dead, requestId })
      return receivedAs(receipt, event)
    } catch (error) {
      // The store itself logs once that it is unavailable, and the metrics count the requests.
      const level = isHoldfastError(error, 'unavailable') ? 'debug' : 'error'
      log[level]({ reqId: requestId, source: source.name, error: messageOf(error) }, 'event not stored')
      return { outcome: 'unavailable' }
    } finally {
      storing--
    }
  }

  /** From where, and proven by which secret. */
  function cameBy(
    { source, receivedFrom, isSample }: Incoming,
    secret: number | undefined,
  ): Pick<Arrival, 'receivedFrom' | 'verifiedBy'> {
    return {
      ...(receivedFrom !== undefined && { receivedFrom }),
      ...(secret !== undefined && isSample !== true && { verifiedBy: { secret, of: secretUses.countOf(source.name) } }),
    }
  }

  return { receive, receiving: () => storing }
}

function receivedAs(receipt: Receipt, event: NewEvent): Received {
  const { outcome, uid } = receipt
  if (outcome === 'fenced') return { outcome: 'unavailable' }
  if (!wasStored(receipt, event)) return { outcome: 'duplicate', uid }
  return { outcome: outcome === 'accepted' ? event.status : outcome, uid }
}
