import type { Logger } from 'pino'
import type { Clock } from '../domain/clock.ts'
import type { Work } from '../domain/delivery.ts'
import type { ClaimRequest, DeliveryQueue } from '../domain/delivery-queue.ts'
import { messageOf } from '../domain/errors.ts'

const DEFAULT_MAX_IDLE_MS = 1_000
/** Wait after a claim that the store refused. */
const CLAIM_RETRY_MS = 500
/** A claim waits at most this long while events are being stored, because acknowledgements go before handlers. */
const MAX_YIELD_MS = 20
const YIELD_STEP_MS = 2

export interface ClaimTiming {
  /** The number of events that wait to be stored now. A claim waits for them, because acknowledgements go before handlers. */
  readonly receiving: () => number
  /**
   * The longest sleep between two claims, even if the store says that the next delivery comes due later: `minIdleMs` after a
   * claim that found deliveries, then twice as long after each sleep, and at most `maxIdleMs()`. Where other processes append
   * to the store too, this sleep bounds how late their events are found.
   */
  readonly minIdleMs?: number
  readonly maxIdleMs?: () => number
  readonly clock: Clock
}

interface ClaimLoopOptions extends ClaimTiming {
  readonly store: Pick<DeliveryQueue, 'claim'>
  readonly handlers: readonly string[]
  /** What the next claim asks for; undefined while no further attempt may start. */
  readonly request: () => ClaimRequest | undefined
  /** Starts a claimed delivery. */
  readonly onClaimed: (work: Work) => void
  /** Called after each claim, when its deliveries have started or it has failed. */
  readonly onClaimEnded: () => void
  /**
   * Whether no attempt of the handler may start now because of its rate. The caller calls `onCapacity` when that is over. Absent: no
   * handler has a rate.
   */
  readonly isThrottled?: ((handler: string) => boolean) | undefined
  readonly log: Logger
}

/**
 * Claims due deliveries: after each wake-up, at the time at which the store says that a delivery comes due, and after each
 * sleep. A lost wake-up therefore delays a delivery by one sleep at most.
 */
export class ClaimLoop {
  readonly #options: ClaimLoopOptions
  readonly #minIdleMs: number
  readonly #maxIdleMs: () => number
  readonly #backlog: Backlog
  /** Throttled handlers whose deliveries may have become due since the last claim began, which may have missed them. */
  readonly #throttled = new Set<string>()
  #running: Promise<void> | undefined
  #claimsAgain = false
  /** A delivery may have become due after the claim under way began; that claim may have missed it. */
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

  /** Whether the store may hold due deliveries of a handler that no claim has taken. */
  hasBacklog = (handler: string): boolean => this.#backlog.has(handler)

  /**
   * Says that deliveries of these handlers may be due; without `handlers`, of any handler. Cheap, and safe to call at any time.
   */
  wake(handlers?: readonly string[]): void {
    this.#backlog.add(handlers)
    const { isThrottled } = this.#options
    if (isThrottled !== undefined && handlers?.every(isThrottled) === true) {
      for (const handler of handlers) this.#throttled.add(handler)
      return
    }
    this.#isStale = true
    this.#claimSoon()
  }

  /** Says that a delivery comes due at this time. */
  wakeBy(dueAtMs: number): void {
    if (this.#isStopping || this.#running !== undefined) this.wake()
    else if (dueAtMs < this.#wakesAtMs) this.#sleep(Math.max(0, dueAtMs - this.#options.clock()))
  }

  /** Says that more attempts may start. Claims if any handler that is not throttled has a backlog. */
  onCapacity(): void {
    if (this.#backlog.hasOther(this.#options.isThrottled)) this.#claimSoon()
  }

  /** Stops claiming. Resolves when the claim under way has ended. */
  async stop(): Promise<void> {
    this.#isStopping = true
    clearTimeout(this.#timer)
    await this.#running
  }

  #claimSoon(): void {
    if (this.#isStopping) return
    this.#claimsAgain = true
    if (this.#running !== undefined) return
    clearTimeout(this.#timer)
    this.#running = this.#loop()
  }

  async #loop(): Promise<void> {
    let sleepMs = 0
    while (this.#claimsAgain && !this.#isStopping) {
      this.#claimsAgain = false
      await this.#yield()
      sleepMs = await this.#pass()
    }
    this.#running = undefined
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

  /** Waits while events are being stored, at most for `MAX_YIELD_MS`. */
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

  /** Claims once. Returns how long the loop sleeps afterwards (ms). */
  async #pass(): Promise<number> {
    const request = this.#options.request()
    if (request === undefined) {
      // Due deliveries may be waiting. The dispatcher calls `onCapacity` once more attempts may start.
      this.#backlog.add()
      return this.#untilNextDue()
    }
    try {
      this.#isStale = false
      this.#throttled.clear()
      const { work, nextDueAtMs } = await this.#options.store.claim(request)
      if (this.#isFailing) this.#options.log.info('deliveries are claimed again')
      this.#isFailing = false
      if (!this.#isStale) this.#backlog.claimed(request, work, this.#throttled)
      for (const each of work) this.#options.onClaimed(each)
      if (work.length > 0) {
        this.#claimsAgain = true
        this.#idleMs = this.#minIdleMs
      }
      this.#nextDueAtMs = nextDueAtMs ?? Number.POSITIVE_INFINITY
      // `nextDueAtMs` was in the future when the store read it, but may have passed since.
      return Math.min(this.#idleMs, Math.max(0, this.#nextDueAtMs - this.#options.clock()))
    } catch (error) {
      if (!this.#isStopping && !this.#isFailing)
        this.#options.log.warn({ error: messageOf(error) }, 'deliveries could not be claimed')
      this.#isFailing = true
      return CLAIM_RETRY_MS
    } finally {
      this.#claimEnded()
    }
  }

  #claimEnded(): void {
    const { onClaimEnded, isThrottled } = this.#options
    onClaimEnded()
    if (isThrottled !== undefined && [...this.#throttled].some((handler) => !isThrottled(handler)))
      this.#claimsAgain = true
  }

  #untilNextDue(): number {
    const untilMs = this.#nextDueAtMs - this.#options.clock()
    return untilMs > 0 ? Math.min(this.#maxIdleMs(), untilMs) : this.#maxIdleMs()
  }
}

/**
 * The handlers with a backlog: the store may hold due deliveries for them that no claim has taken. Only a claim can show that a
 * handler has no backlog. Until then no delivery of a new event starts at once for that handler, because older deliveries go
 * first.
 */
class Backlog {
  readonly #handlers: Set<string>
  readonly #all: readonly string[]

  constructor(handlers: readonly string[]) {
    this.#all = handlers
    this.#handlers = new Set(handlers)
  }

  has = (handler: string): boolean => this.#handlers.has(handler)

  /** Whether it holds a handler that is not throttled. */
  hasOther(isThrottled: ((handler: string) => boolean) | undefined): boolean {
    if (isThrottled === undefined) return this.#handlers.size > 0
    return this.#handlers.values().some((handler) => !isThrottled(handler))
  }

  add(handlers: readonly string[] = this.#all): void {
    for (const handler of handlers) this.#handlers.add(handler)
  }

  /** If a claim found fewer deliveries of a handler than its limit, that handler has no backlog, unless the claim may have missed some. */
  claimed(
    { handlers, sharedLimit, isolatedLimit }: ClaimRequest,
    work: readonly Work[],
    missed: ReadonlySet<string>,
  ): void {
    if (work.length >= sharedLimit || work.filter(({ isolated }) => isolated).length >= isolatedLimit) return
    for (const { name, limit } of handlers)
      if (!missed.has(name) && work.filter(({ handler }) => handler === name).length < limit)
        this.#handlers.delete(name)
  }
}
