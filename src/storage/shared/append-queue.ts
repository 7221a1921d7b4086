import { MAX_TIME_MS } from '../../domain/clock.ts'
import { HoldfastError, isHoldfastError, messageOf } from '../../domain/errors.ts'
import type { NewEvent } from '../../domain/event.ts'
import type { Receipt } from '../../domain/event-store.ts'
import { MAX_COMMIT_BYTES, MAX_COMMIT_ROWS, MAX_QUEUED_BYTES, MAX_QUEUED_EVENTS } from '../../domain/limits.ts'
import { orderKeyFor } from '../../domain/order-key.ts'
import type { EndedTask } from '../../domain/task.ts'
import { MAX_DELIVERIES_PER_EVENT } from './deliveries.ts'

/**
 * Once this many events have gathered, the queue writes them without waiting for the end of the event loop's turn. A lower
 * number makes more commits, each of which costs an fsync; a higher number leaves the database idle while events gather.
 */
const EAGER_EVENTS = 24
/**
 * How many batches are written at once: the one that the database works on, and the next. Later events gather and share a
 * commit.
 */
const MAX_UNDER_WAY = 2

/** How many bytes an event counts for in the queue beside its body. */
const EVENT_OVERHEAD_BYTES = 1_024
/** Why an append is refused while the queue is full. */
const QUEUE_FULL = 'too many events are waiting for the store'

/** Events that are written in one commit. */
export interface AppendBatch {
  readonly events: readonly NewEvent[]
  /** The sum of the bytes of all their bodies. */
  readonly bodyBytes: number
}

/** The result of one event of a batch: its receipt, with the task that the event ended; or the error of this event alone. */
export type AppendResult = (Receipt & { readonly ended?: EndedTask }) | HoldfastError

/**
 * Writes a batch. Resolves with one result for each event, in order. Rejects if the whole batch failed: after `unavailable` its
 * events may have been stored or not.
 */
export type WriteBatch = (batch: AppendBatch) => Promise<readonly AppendResult[]>

interface WaitingEvent {
  readonly event: NewEvent
  readonly resolve: (receipt: Receipt) => void
  readonly reject: (error: Error) => void
}

/**
 * Gathers appends into batches, and answers each append from the results of its batch. The number and bytes of the events that
 * wait, gathered or under way, are bounded; past the bound `append` rejects with `unavailable` at once.
 */
export class AppendQueue {
  readonly #write: WriteBatch
  readonly #onTaskEnded: (ended: EndedTask) => void
  readonly #storesInOrder: boolean
  #gathered: WaitingEvent[] = []
  #underWay = 0
  #orderedUnderWay = 0
  #events = 0
  #bytes = 0
  #scheduled = false

  /**
   * `storesInOrder`: batches are stored in the order in which they are written, also those that are under way together. Otherwise
   * events with order keys wait for the batch before them.
   */
  constructor(write: WriteBatch, onTaskEnded: (ended: EndedTask) => void, storesInOrder = true) {
    this.#write = write
    this.#onTaskEnded = onTaskEnded
    this.#storesInOrder = storesInOrder
  }

  /** Why an append would be refused now; empty when it would not. */
  faults = (): readonly string[] => (this.#isFull() ? [QUEUE_FULL] : [])

  #isFull(): boolean {
    return this.#events >= MAX_QUEUED_EVENTS || this.#bytes >= MAX_QUEUED_BYTES
  }

  append(event: NewEvent): Promise<Receipt> {
    return new Promise((resolve, reject) => {
      const refusal = this.#refusal(event)
      if (refusal !== undefined) {
        reject(refusal)
        return
      }
      this.#events++
      this.#bytes += sizeOf(event)
      this.#gathered.push({ event, resolve, reject })
      this.#schedule()
    })
  }

  /** Writes all gathered events at once, however many batches are under way. */
  flush(): void {
    while (this.#gathered.length > 0) this.#writeBatch(this.#gathered.length)
  }

  /** Rejects the gathered events that are in no batch yet. Used when writing them is known to fail. */
  failGathered(error: Error): void {
    const waiting = this.#gathered.splice(0)
    this.#release(waiting)
    rejectAll(waiting, error)
  }

  /**
   * Writes a batch at once if enough events have gathered; otherwise, if the database is idle, at the end of the event loop's
   * turn.
   */
  #schedule(): void {
    if (this.#gathered.length >= EAGER_EVENTS) this.#writeNext()
    else if (!this.#scheduled && this.#underWay === 0) {
      this.#scheduled = true
      setImmediate(() => {
        this.#scheduled = false
        this.#writeNext()
      })
    }
  }

  #writeNext(): void {
    const count = this.#writable()
    if (count > 0 && this.#underWay < MAX_UNDER_WAY) this.#writeBatch(count)
  }

  /** How many of the gathered events may be written now. */
  #writable(): number {
    if (this.#storesInOrder || this.#orderedUnderWay === 0) return this.#gathered.length
    const at = this.#gathered.findIndex(isOrdered)
    return at < 0 ? this.#gathered.length : at
  }

  #writeBatch(most: number): void {
    const { waiting, bodyBytes } = this.#takeBatch(most)
    this.#underWay++
    if (waiting.some(isOrdered)) this.#orderedUnderWay++
    this.#write({ events: waiting.map(({ event }) => event), bodyBytes }).then(
      (results) => {
        this.#written(waiting)
        this.#answer(waiting, results)
      },
      (error: unknown) => {
        this.#written(waiting)
        rejectAll(waiting, isHoldfastError(error) ? error : unavailable(messageOf(error)))
      },
    )
  }

  #written(waiting: readonly WaitingEvent[]): void {
    this.#underWay--
    if (waiting.some(isOrdered)) this.#orderedUnderWay--
    this.#release(waiting)
    // Starts the next batch before it answers the senders, so that the database works meanwhile.
    this.#writeNext()
  }

  #answer(waiting: readonly WaitingEvent[], results: readonly AppendResult[]): void {
    waiting.forEach(({ resolve, reject }, at) => {
      const result = results[at] ?? unavailable('the store returned no result for the event')
      if (result instanceof HoldfastError) reject(result)
      else if (result.ended === undefined) resolve(result)
      else {
        const { ended, ...receipt } = result
        resolve(receipt)
        this.#onTaskEnded(ended)
      }
    })
  }

  /** Takes as many of the first `most` gathered events as fit into one commit, and at least one. */
  #takeBatch(most: number): { readonly waiting: readonly WaitingEvent[]; readonly bodyBytes: number } {
    let bodyBytes = 0
    let count = 0
    for (const { event } of this.#gathered) {
      if (count === most) break
      if (count > 0 && (count === MAX_COMMIT_ROWS || bodyBytes + event.body.length > MAX_COMMIT_BYTES)) break
      bodyBytes += event.body.length
      count++
    }
    const waiting = this.#gathered
    this.#gathered = waiting.splice(count)
    return { waiting, bodyBytes }
  }

  #refusal(event: NewEvent): HoldfastError | undefined {
    if (this.#isFull()) return unavailable(QUEUE_FULL)
    if (!Number.isSafeInteger(event.receivedAtMs) || Math.abs(event.receivedAtMs) > MAX_TIME_MS) {
      return new HoldfastError('invalid_request', 'the time of receipt is not a time')
    }
    if (event.handlers.length > MAX_DELIVERIES_PER_EVENT) {
      return new HoldfastError('invalid_request', `an event may have at most ${MAX_DELIVERIES_PER_EVENT} handlers`)
    }
    if (!isSoundOffer(event)) {
      return new HoldfastError(
        'invalid_request',
        'a lease offer names a handler twice, a handler that the event is not for, or one that has an order key',
      )
    }
    return undefined
  }

  #release(waiting: readonly WaitingEvent[]): void {
    for (const { event } of waiting) this.#bytes -= sizeOf(event)
    this.#events -= waiting.length
  }
}

/** Whether a lease offer names only handlers of the event without an order key, and each of them once. */
const isSoundOffer = ({ handlers, orderKeys, lease }: NewEvent): boolean =>
  lease === undefined ||
  lease.handlers.every(
    (name, at) =>
      handlers.includes(name) && lease.handlers.indexOf(name) === at && orderKeyFor(orderKeys, name) === null,
  )

const isOrdered = ({ event }: WaitingEvent): boolean => event.orderKeys !== undefined

const sizeOf = (event: NewEvent): number => event.body.length + EVENT_OVERHEAD_BYTES

function rejectAll(waiting: readonly WaitingEvent[], error: Error): void {
  for (const { reject } of waiting) reject(error)
}

const unavailable = (message: string): HoldfastError => new HoldfastError('unavailable', message)
