import { HoldfastError } from '../../domain/errors.ts'
import type { NewEvent } from '../../domain/event.ts'
import { MAX_COMMIT_BYTES, MAX_COMMIT_ROWS, MAX_QUEUED_BYTES, MAX_QUEUED_EVENTS } from '../../domain/limits.ts'
import type { Receipt } from '../../domain/store.ts'
import { MAX_DELIVERIES_PER_EVENT } from './keys.ts'
import type { AppendBatch, AppendResult, EventRow, Reply } from './messages.ts'
import { errorOf } from './wire-error.ts'

/**
 * Events that are posted without waiting for the rest of the loop's turn, so that the writer works on them while the others
 * are still being read. With fewer, messages cost more than they bring.
 */
const POST_EVENTS = 8
/** What an event takes up in the queue beside its body. */
const EVENT_OVERHEAD_BYTES = 1_024
/** The range of a Date. */
const MAX_TIME_MS = 8.64e15

interface Waiting {
  readonly event: NewEvent
  readonly resolve: (receipt: Receipt) => void
  readonly reject: (error: Error) => void
}

/**
 * Gathers the appends of one turn of the event loop into batches for the writer, and takes its answers apart again. What
 * waits, gathered or posted, is bounded; past that an append is `unavailable` at once.
 */
export class AppendQueue {
  readonly #post: (batch: AppendBatch) => void
  readonly #posted = new Map<number, readonly Waiting[]>()
  #gathered: Waiting[] = []
  #events = 0
  #bytes = 0
  #lastId = 0
  #scheduled = false

  constructor(post: (batch: AppendBatch) => void) {
    this.#post = post
  }

  isFull = (): boolean => this.#events >= MAX_QUEUED_EVENTS || this.#bytes >= MAX_QUEUED_BYTES

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

  #schedule(): void {
    if (this.#gathered.length >= POST_EVENTS) this.flush()
    else if (!this.#scheduled) {
      this.#scheduled = true
      setImmediate(() => this.flush())
    }
  }

  /** Posts what was gathered, in batches that fit into one commit each. */
  flush(): void {
    this.#scheduled = false
    let from = 0
    let bytes = 0
    this.#gathered.forEach(({ event }, at) => {
      if (at > from && (at - from >= MAX_COMMIT_ROWS || bytes + event.body.length > MAX_COMMIT_BYTES)) {
        this.#postBatch(this.#gathered.slice(from, at), bytes)
        from = at
        bytes = 0
      }
      bytes += event.body.length
    })
    if (this.#gathered.length > from) this.#postBatch(this.#gathered.slice(from), bytes)
    this.#gathered = []
  }

  /** False if the answer is to no batch. */
  answer(reply: Reply): boolean {
    const batch = this.#posted.get(reply.id)
    if (batch === undefined) return false
    this.#posted.delete(reply.id)
    this.#release(batch)
    if ('failed' in reply) {
      for (const { reject } of batch) reject(errorOf(reply.failed))
      return true
    }
    const results = reply.value as readonly AppendResult[]
    batch.forEach(({ event, resolve, reject }, at) => {
      const result = results[at] ?? null
      if (result === null) resolve({ outcome: 'accepted', uid: event.uid })
      else if ('error' in result) reject(errorOf(result))
      else resolve(result)
    })
    return true
  }

  failAll(error: Error): void {
    const batches = [this.#gathered, ...this.#posted.values()]
    this.#gathered = []
    this.#posted.clear()
    for (const batch of batches) {
      this.#release(batch)
      for (const { reject } of batch) reject(error)
    }
  }

  #refusal(event: NewEvent): HoldfastError | undefined {
    if (this.isFull()) return new HoldfastError('unavailable', 'too many events are waiting for the store')
    if (!Number.isSafeInteger(event.receivedAtMs) || Math.abs(event.receivedAtMs) > MAX_TIME_MS) {
      return new HoldfastError('invalid_request', 'the time of receipt is not a time')
    }
    if (event.handlers.length > MAX_DELIVERIES_PER_EVENT) {
      return new HoldfastError('invalid_request', `an event may have ${MAX_DELIVERIES_PER_EVENT} handlers`)
    }
    return undefined
  }

  #postBatch(batch: readonly Waiting[], bytes: number): void {
    const id = --this.#lastId
    const bodies = Buffer.allocUnsafeSlow(bytes)
    let offset = 0
    const events = batch.map(({ event }) => {
      bodies.set(event.body, offset)
      offset += event.body.length
      return rowOf(event)
    })
    this.#posted.set(id, batch)
    this.#post({ id, events, bodies: bodies.buffer })
  }

  #release(batch: readonly Waiting[]): void {
    for (const { event } of batch) this.#bytes -= sizeOf(event)
    this.#events -= batch.length
  }
}

const sizeOf = (event: NewEvent): number => event.body.length + EVENT_OVERHEAD_BYTES

const rowOf = (event: NewEvent): EventRow => [
  event.uid,
  event.source,
  event.provider,
  event.id,
  event.type,
  event.created_at,
  event.receivedAtMs,
  event.origin,
  event.status,
  event.reasons.length > 0 ? JSON.stringify(event.reasons) : null,
  event.task ?? null,
  event.api_version ?? null,
  JSON.stringify(event.headers),
  event.traceparent ?? null,
  event.body.length,
  event.handlers,
]
