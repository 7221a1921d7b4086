import type { Logger } from 'pino'
import type { Clock } from '../domain/clock.ts'
import type { Work } from '../domain/delivery.ts'
import type { ClaimRequest, DeliveryQueue } from '../domain/delivery-queue.ts'
import { messageOf } from '../domain/errors.ts'

const DEFAULT_MAX_IDLE_MS = 1_000
/** Wait after a claim that the store refused. */
const CLAIM_RETRY_MS = 500
/** The longest that a claim waits for events that are being stored: acknowledgements go before handlers for so long. */
const MAX_YIELD_MS = 20
const YIELD_STEP_MS = 2

export interface ClaimTiming {
  /** Events that wait to be stored right now: acknowledgements go before handlers. */
  readonly receiving: () => number
  /**
   * The longest sleep between two claims, whatever the store says comes due next: `minIdleMs` after a claim that found
   * deliveries, and twice as long after each sleep, up to `maxIdleMs()`. Where other processes append to the store too, this is
   * how their events are found.
   */
  readonly minIdleMs?: number
  readonly maxIdleMs?: () => number
  readonly clock: Clock
}

interface ClaimLoopOptions extends ClaimTiming {
  readonly store: Pick<DeliveryQueue, 'claim'>
  readonly handlers: readonly string[]
  /** The next claim; undefined while nothing more may start. */
  readonly request: () => ClaimRequest | undefined
  /** Starts a claimed delivery. */
  readonly onClaimed: (work: Work) => void
  readonly log: Logger
}

/**
 * Claims due deliveries: when it is woken, when the store says that one comes due, and after a sleep in any case. A lost wake-up
 * only costs a sleep.
 */
export class ClaimLoop {
  readonly #options: ClaimLoopOptions
  readonly #minIdleMs: number
  readonly #maxIdleMs: () => number
  readonly #backlog: Backlog
  #passing: Promise<void> | undefined
  #again = false
  /** A delivery may have become due that the claim under way has not seen. */
  #isStale = false
  #nextDueAtMs = Number.POSITIVE_INFINITY
  #idleMs: number
  #timer: NodeJS.Timeout | undefined
  #wakesAtMs = Number.POSITIVE_INFINITY
  #isStopping = false
  /** The last claim failed, and the log says so. */
  #isFailing = false

  constructor(options: ClaimLoopOptions) {
    this.#options = options
    this.#maxIdleMs = options.maxIdleMs ?? (() => DEFAULT_MAX_IDLE_MS)
    this.#minIdleMs = options.minIdleMs ?? this.#maxIdleMs()
    this.#idleMs = this.#minIdleMs
    this.#backlog = new Backlog(options.handlers)
  }

  get isFailing(): boolean {
    return this.#isFailing
  }

  /** Whether the store may hold due deliveries of a handler that are not claimed. */
  hasBacklog = (handler: string): boolean => this.#backlog.has(handler)

  /** Deliveries of these handlers, or of any, may be due. Cheap, and safe to call at any time. */
  wake(handlers?: readonly string[]): void {
    this.#backlog.add(handlers)
    this.#isStale = true
    this.#claimSoon()
  }

  /** A delivery comes due at this time. */
  wakeBy(dueAtMs: number): void {
    if (this.#isStopping || this.#passing !== undefined) this.wake()
    else if (dueAtMs < this.#wakesAtMs) this.#sleep(Math.max(0, dueAtMs - this.#options.clock()))
  }

  /** More attempts may start: claims if there is a backlog. */
  onCapacity(): void {
    if (!this.#backlog.isEmpty) this.#claimSoon()
  }

  /** Claims no more. Resolves when the claim under way has ended. */
  async stop(): Promise<void> {
    this.#isStopping = true
    clearTimeout(this.#timer)
    await this.#passing
  }

  #claimSoon(): void {
    if (this.#isStopping) return
    this.#again = true
    if (this.#passing !== undefined) return
    clearTimeout(this.#timer)
    this.#passing = this.#loop()
  }

  async #loop(): Promise<void> {
    let sleepMs = 0
    while (this.#again && !this.#isStopping) {
      this.#again = false
      await this.#yield()
      sleepMs = await this.#pass()
    }
    this.#passing = undefined
    if (!this.#isStopping) this.#sleep(sleepMs)
  }

  #sleep(ms: number): void {
    clearTimeout(this.#timer)
    this.#wakesAtMs = this.#options.clock() + ms
    this.#timer = setTimeout(() => {
      this.#idleMs = Math.min(this.#maxIdleMs(), this.#idleMs * 2)
      this.wake()
    }, ms)
  }

  /** Lets events that are being stored go first. */
  async #yield(): Promise<void> {
    await new Promise(setImmediate)
    for (
      let waitedMs = 0;
      waitedMs < MAX_YIELD_MS && !this.#isStopping && this.#options.receiving() > 0;
      waitedMs += YIELD_STEP_MS
    ) {
      await new Promise((resolve) => setTimeout(resolve, YIELD_STEP_MS))
    }
  }

  /** Claims once. Returns how long to sleep. */
  async #pass(): Promise<number> {
    const request = this.#options.request()
    if (request === undefined) {
      // Due deliveries wait for capacity; `onCapacity` follows.
      this.#backlog.add()
      return this.#untilNextDue()
    }
    try {
      this.#isStale = false
      const { work, nextDueAtMs } = await this.#options.store.claim(request)
      if (this.#isFailing) this.#options.log.info('deliveries are claimed again')
      this.#isFailing = false
      if (!this.#isStale) this.#backlog.claimed(request, work)
      for (const each of work) this.#options.onClaimed(each)
      if (work.length > 0) {
        this.#again = true
        this.#idleMs = this.#minIdleMs
      }
      this.#nextDueAtMs = nextDueAtMs ?? Number.POSITIVE_INFINITY
      // The store found that time in the future; it may have passed since.
      return Math.min(this.#idleMs, Math.max(0, this.#nextDueAtMs - this.#options.clock()))
    } catch (error) {
      if (!this.#isStopping && !this.#isFailing)
        this.#options.log.warn({ error: messageOf(error) }, 'deliveries could not be claimed')
      this.#isFailing = true
      return CLAIM_RETRY_MS
    }
  }

  #untilNextDue(): number {
    const untilMs = this.#nextDueAtMs - this.#options.clock()
    return untilMs > 0 ? Math.min(this.#maxIdleMs(), untilMs) : this.#maxIdleMs()
  }
}

/**
 * The handlers of which the store may hold due deliveries that are not claimed. Only a claim shows that there are none, and only
 * then may a new event of the handler start at once: older deliveries go first.
 */
class Backlog {
  readonly #handlers: Set<string>
  readonly #all: readonly string[]

  constructor(handlers: readonly string[]) {
    this.#all = handlers
    this.#handlers = new Set(handlers)
  }

  has = (handler: string): boolean => this.#handlers.has(handler)

  get isEmpty(): boolean {
    return this.#handlers.size === 0
  }

  add(handlers: readonly string[] = this.#all): void {
    for (const handler of handlers) this.#handlers.add(handler)
  }

  /** A handler of which a claim found fewer deliveries than it asked for has no backlog. */
  claimed({ handlers, sharedLimit, isolatedLimit }: ClaimRequest, work: readonly Work[]): void {
    if (work.length >= sharedLimit || work.filter(({ isolated }) => isolated).length >= isolatedLimit) return
    for (const { name, limit } of handlers)
      if (work.filter(({ handler }) => handler === name).length < limit) this.#handlers.delete(name)
  }
}
