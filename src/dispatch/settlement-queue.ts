import type { Logger } from 'pino'
import { keptAnswer } from '../domain/answer.ts'
import type { Clock } from '../domain/clock.ts'
import type { AttemptResult, Settlement, Work } from '../domain/delivery.ts'
import type { DeliveryQueue } from '../domain/delivery-queue.ts'
import { type ErrorDetail, messageOf } from '../domain/errors.ts'
import type { Telemetry } from '../domain/telemetry.ts'

/** Wait before settlements that the store refused are tried again. */
const SETTLE_RETRY_MS = 500

interface SettlementQueueOptions {
  readonly store: Pick<DeliveryQueue, 'settle'>
  /** The longest lease of any handler. */
  readonly leaseMs: number
  readonly log: Logger
  /**
   * Called after the commit of settlements that may let deliveries run, with the earliest time at which such a delivery may be
   * due.
   */
  readonly onDue: (dueAtMs: number) => void
  /** Called when the number of unsettled attempts has fallen. */
  readonly onSettled: () => void
}

/**
 * Writes settlements into the store. While one call is under way, the settlements for the next one gather. Settlements that the
 * store refuses (for example because its disk is full) are tried again for the duration of the longest lease; after that their leases
 * have ended, and the deliveries run again.
 */
export class SettlementQueue {
  readonly #options: SettlementQueueOptions
  readonly #calls = new Set<Promise<void>>()
  #waiting: Settlement[] = []
  /** A call is under way that the store has not answered yet, or is about to begin. */
  #isBusy = false
  #unsettled = 0

  constructor(options: SettlementQueueOptions) {
    this.#options = options
  }

  /** The number of attempts that have ended and whose settlements are not committed yet. */
  get unsettled(): number {
    return this.#unsettled
  }

  add(settlement: Settlement): void {
    this.#unsettled++
    this.#waiting.push(settlement)
    if (this.#isBusy) return
    this.#isBusy = true
    setImmediate(() => this.#sendWaiting())
  }

  /** Resolves when everything added so far is committed or given up. */
  async flush(): Promise<void> {
    while (this.#waiting.length > 0 || this.#calls.size > 0) {
      this.#sendWaiting()
      await Promise.all(this.#calls)
    }
  }

  #sendWaiting(): void {
    this.#isBusy = this.#waiting.length > 0
    if (!this.#isBusy) return
    const batch = this.#waiting
    this.#waiting = []
    const call = this.#send(batch).finally(() => this.#calls.delete(call))
    this.#calls.add(call)
  }

  async #send(batch: readonly Settlement[]): Promise<void> {
    const { leaseMs, log, onSettled } = this.#options
    const giveUpAtMs = performance.now() + leaseMs
    for (let tries = 1; ; tries++) {
      try {
        await this.#settle(batch).finally(() => {
          if (tries === 1) this.#sendWaiting()
        })
        break
      } catch (error) {
        const isOver = performance.now() >= giveUpAtMs
        if (tries === 1 || isOver)
          log.warn(
            { error: messageOf(error), attempts: batch.length, given_up: isOver },
            'attempts could not be recorded',
          )
        if (isOver) break
        await new Promise((resolve) => setTimeout(resolve, SETTLE_RETRY_MS).unref())
      }
    }
    this.#unsettled -= batch.length
    onSettled()
  }

  async #settle(batch: readonly Settlement[]): Promise<void> {
    const { store, log, onDue } = this.#options
    const tookEffect = await store.settle(batch)
    const lost = tookEffect.filter((effective) => !effective).length
    // A dead delivery may have given its event's id to another event, which runs now. In an order, the next delivery may be due.
    const due = batch.flatMap(({ verdict, ordered, dueAtMs }) =>
      verdict === 'succeeded' && ordered !== true ? [] : [dueAtMs],
    )
    if (due.length > 0) onDue(Math.min(...due))
    if (lost > 0) log.warn({ lost }, 'attempts outlived their lease and were not recorded')
  }
}

/** Counts an attempt in the metrics, and logs it. */
export function reportSettlement(
  { event, handler, attempt, dueAtMs: wasDueAtMs }: Work,
  { verdict, outcome, startedAtMs, durationMs, dueAtMs, error, detail, cause, quarantine }: Settlement,
  { telemetry, log, clock }: { readonly telemetry: Telemetry; readonly log: Logger; readonly clock: Clock },
): void {
  const about = {
    uid: event.uid,
    source: event.source,
    type: event.type,
    handler,
    attempt,
    outcome,
    duration_ms: durationMs,
  }
  if (verdict !== 'released') telemetry.started(event.source, handler, Math.max(0, startedAtMs - wasDueAtMs) / 1000)
  if (verdict === 'succeeded') {
    telemetry.processed(event.source, event.type, handler, durationMs / 1000)
    log.debug(about, 'event handled')
    return
  }
  if (verdict === 'released') {
    log.info({ ...about, error }, 'attempt released')
    return
  }
  telemetry.failed(event.source, event.type, handler, durationMs / 1000)
  if (verdict === 'dead') telemetry.dead(event.source, event.type, handler)
  if (quarantine !== undefined) {
    log.warn({ ...about, reasons: quarantine }, 'event quarantined')
    return
  }
  const why = {
    error,
    ...(cause !== undefined && { cause: cause.id }),
    ...(detail !== undefined && { error_detail: detail }),
  }
  if (verdict === 'dead') log.error({ ...about, ...why }, 'delivery dead')
  else log.warn({ ...about, ...why, retry_in_ms: dueAtMs - clock() }, 'attempt failed')
}

/**
 * Removes secrets from a result: the error of a handler, or the answer of a service, may repeat a URL, a header or a key that the
 * handler had. Cuts the answer to its length.
 */
export function redactResult(given: AttemptResult, redact: (text: string) => string): AttemptResult {
  const result =
    'answer' in given && given.answer !== undefined ? { ...given, answer: keptAnswer(given.answer, redact) } : given
  if (result.outcome === 'succeeded' || result.error === undefined) return result
  if (!('detail' in result) || result.detail === undefined) return { ...result, error: redact(result.error) }
  return { ...result, error: redact(result.error), detail: redactDetail(result.detail, redact) }
}

const redactDetail = (detail: ErrorDetail, redact: (text: string) => string): ErrorDetail => ({
  name: redact(detail.name),
  message: redact(detail.message),
  ...(detail.code !== undefined && { code: redact(detail.code) }),
  ...(detail.stack !== undefined && { stack: detail.stack.map(redact) }),
  ...(detail.cause !== undefined && { cause: redactDetail(detail.cause, redact) }),
  ...(detail.errors !== undefined && { errors: detail.errors.map((part) => redactDetail(part, redact)) }),
})
