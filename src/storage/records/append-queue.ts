import { HoldfastError, messageOf } from '../../domain/errors.ts'
import type { NewEvent } from '../../domain/event.ts'
import { MAX_COMMIT_BYTES, MAX_COMMIT_ROWS, MAX_QUEUED_BYTES, MAX_QUEUED_EVENTS } from '../../domain/limits.ts'
import type { Receipt } from '../../domain/store.ts'
import type { EndedTask } from '../../domain/task.ts'
import { errorOf, type Reply } from '../sqlite/thread-error.ts'
import { type AppendBatch, type AppendResult, isSoundOffer, type Kept, leasedOf, rowOf } from './event-row.ts'
import { MAX_DELIVERIES_PER_EVENT } from './keys.ts'

/**
 * Events that are posted without waiting for the rest of the loop's turn. Fewer make more commits, each of which costs an
 * fsync; more leave the writer idle while they gather.
 */
const POST_EVENTS = 24
/** Batches under way at once: one that is worked on, and the next. What comes meanwhile gathers and shares a commit. */
const MAX_UNDER_WAY = 2

/** What an event takes up in the queue beside its body. */
const EVENT_OVERHEAD_BYTES = 1_024
/** The range of a Date. */
const MAX_TIME_MS = 8.64e15

interface Waiting {
  readonly event: NewEvent
  readonly resolve: (receipt: Receipt) => void
  readonly reject: (error: Error) => void
}

interface Batch {
  readonly id: number
  readonly appends: readonly Waiting[]
}

/**
 * Gathers appends into batches for whoever writes, and takes its answers apart again. What waits, gathered or under way, is
 * bounded; past that an append is `unavailable` at once.
 */
export class AppendQueue {
  readonly #post: (batch: AppendBatch) => void
  readonly #onTaskEnded: (ended: EndedTask) => void
  // In order of posting. Not a Map: V8 links each table that a Map has outgrown to the next, so that what came and went
  // would outlive the young generation.
  readonly #underWay: Batch[] = []
  #gathered: Waiting[] = []
  #events = 0
  #bytes = 0
  #lastId = 0
  #scheduled = false

  constructor(post: (batch: AppendBatch) => void, onTaskEnded: (ended: EndedTask) => void) {
    this.#post = post
    this.#onTaskEnded = onTaskEnded
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

  /** Posts what was gathered, however much is under way. */
  flush(): void {
    while (this.#gathered.length > 0) this.#postBatch()
  }

  /** False if the answer is to no batch. */
  answer(reply: Reply): boolean {
    const at = this.#underWay.findIndex(({ id }) => id === reply.id)
    const [batch] = at < 0 ? [] : this.#underWay.splice(at, 1)
    if (batch === undefined) return false
    this.#release(batch.appends)
    // The writer first: it works while the senders are answered.
    this.#postNext()
    if ('failed' in reply) {
      for (const { reject } of batch.appends) reject(errorOf(reply.failed))
      return true
    }
    const results = reply.value as readonly AppendResult[]
    batch.appends.forEach(({ event, resolve, reject }, at) => {
      const result = results[at] ?? null
      if (result === null) resolve({ outcome: 'accepted', uid: event.uid })
      else if (typeof result === 'number') resolve(receiptOf(event, { outcome: 'accepted', uid: event.uid }, result))
      else if ('error' in result) reject(errorOf(result))
      else {
        resolve(receiptOf(event, result, result.leasedKey))
        if (result.ended !== undefined) this.#onTaskEnded(result.ended)
      }
    })
    return true
  }

  failAll(error: Error): void {
    this.#fail(
      this.#underWay.splice(0).flatMap(({ appends }) => appends),
      error,
    )
    this.failGathered(error)
  }

  /** Nobody waits for what is known to be in vain. */
  failGathered(error: Error): void {
    this.#fail(this.#gathered.splice(0), error)
  }

  #fail(waiting: readonly Waiting[], error: Error): void {
    this.#release(waiting)
    for (const { reject } of waiting) reject(error)
  }

  /** Posts a batch when it is large enough; an idle writer gets what the loop's turn has brought. */
  #schedule(): void {
    if (this.#gathered.length >= POST_EVENTS) this.#postNext()
    else if (!this.#scheduled && this.#underWay.length === 0) {
      this.#scheduled = true
      setImmediate(() => {
        this.#scheduled = false
        this.#postNext()
      })
    }
  }

  #postNext(): void {
    if (this.#gathered.length > 0 && this.#underWay.length < MAX_UNDER_WAY) this.#postBatch()
  }

  #postBatch(): void {
    const { appends, bytes } = this.#takeBatch()
    const bodies = bodiesOf(appends, bytes)
    const id = --this.#lastId
    try {
      this.#post({ id, events: appends.map(({ event }) => rowOf(event)), bodies, bodyBytes: bytes })
      this.#underWay.push({ id, appends })
    } catch (error) {
      // Something that no thread can be handed: these are refused, the rest goes on.
      this.#release(appends)
      for (const { reject } of appends) reject(new HoldfastError('invalid_request', messageOf(error)))
    }
  }

  /** As much of what was gathered as fits into one commit; one event always does. */
  #takeBatch(): { readonly appends: readonly Waiting[]; readonly bytes: number } {
    let bytes = 0
    let count = 0
    for (const { event } of this.#gathered) {
      if (count > 0 && (count === MAX_COMMIT_ROWS || bytes + event.body.length > MAX_COMMIT_BYTES)) break
      bytes += event.body.length
      count++
    }
    const appends = this.#gathered
    this.#gathered = appends.splice(count)
    return { appends, bytes }
  }

  #refusal(event: NewEvent): HoldfastError | undefined {
    if (this.isFull()) return new HoldfastError('unavailable', 'too many events are waiting for the store')
    if (!Number.isSafeInteger(event.receivedAtMs) || Math.abs(event.receivedAtMs) > MAX_TIME_MS) {
      return new HoldfastError('invalid_request', 'the time of receipt is not a time')
    }
    if (event.handlers.length > MAX_DELIVERIES_PER_EVENT) {
      return new HoldfastError('invalid_request', `an event may have ${MAX_DELIVERIES_PER_EVENT} handlers`)
    }
    if (!isSoundOffer(event)) {
      return new HoldfastError(
        'invalid_request',
        'a lease was offered of a handler twice, or that the event is not for',
      )
    }
    return undefined
  }

  #release(batch: readonly Waiting[]): void {
    for (const { event } of batch) this.#bytes -= sizeOf(event)
    this.#events -= batch.length
  }
}

/** Copied, since the bytes are still needed here: but for one that is shared already, as long ones are. */
function bodiesOf(appends: readonly Waiting[], bytes: number): AppendBatch['bodies'] {
  const [first] = appends
  if (first !== undefined && appends.length === 1 && isShared(first.event.body)) return first.event.body.buffer
  const bodies = Buffer.allocUnsafeSlow(bytes)
  let offset = 0
  for (const { event } of appends) {
    bodies.set(event.body, offset)
    offset += event.body.length
  }
  return bodies.buffer
}

const isShared = (body: Uint8Array): body is Uint8Array<SharedArrayBuffer> =>
  body.buffer instanceof SharedArrayBuffer && body.byteOffset === 0

const receiptOf = (event: NewEvent, { outcome, uid, dead, lease }: Kept, leasedKey: number | undefined): Receipt => ({
  outcome,
  uid,
  ...(dead !== undefined && { dead }),
  ...(leasedKey !== undefined && { leased: leasedOf(event, leasedKey, lease) }),
})

const sizeOf = (event: NewEvent): number => event.body.length + EVENT_OVERHEAD_BYTES
