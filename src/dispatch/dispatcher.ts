import type { Logger } from 'pino'
import type { Clock } from '../domain/clock.ts'
import type { LeasedDelivery, TypeRoutes, Work } from '../domain/delivery.ts'
import type { ClaimRequest, DeliveryQueue } from '../domain/delivery-queue.ts'
import { messageOf } from '../domain/errors.ts'
import type { LeaseOffer, NewEvent } from '../domain/event.ts'
import type { HandlerDefinition } from '../domain/handler.ts'
import type { RetryPolicy } from '../domain/retry.ts'
import type { Telemetry } from '../domain/telemetry.ts'
import { Backlog } from './backlog.ts'
import { Capacity, type CapacityPool } from './capacity.ts'
import type { Ran } from './pool/run.ts'
import { redacted } from './redacted.ts'
import { report } from './report.ts'
import { settlementOf } from './settlement.ts'
import { createSettler } from './settler.ts'
import { within } from './within.ts'

const DEFAULT_MAX_IDLE_MS = 1_000
/** Wait after a claim that the store refused. */
const CLAIM_RETRY_MS = 500
/** The longest that a claim waits for events on their way in: so much of handlers' time is the acknowledgements'. */
const MAX_YIELD_MS = 20
const YIELD_STEP_MS = 2
/** Events on their way in past which none is started as it is stored: acknowledgements go first, handlers catch up. */
const MAX_RECEIVING_TO_OFFER = 8
/** Attempts that have ended but are not on disk yet; past it nothing is claimed. */
const MAX_UNSETTLED = 1_024

export interface DispatcherOptions {
  readonly store: Pick<DeliveryQueue, 'claim' | 'settle'>
  readonly pool: CapacityPool & {
    onRoom: () => void
    run(work: Work): Promise<Ran>
    abort(): void
    close(): Promise<void>
  }
  readonly handlers: readonly HandlerDefinition[]
  readonly routesOf: (source: string) => TypeRoutes
  /** Events that wait to be stored right now: acknowledgements go before handlers. */
  readonly receiving: () => number
  readonly retry: RetryPolicy
  readonly leaseMs: number
  /**
   * The longest that it sleeps, whatever the store says comes due next: `minIdleMs` after there was work, and twice as long
   * each time that it has slept through, up to `maxIdleMs()`. Where others append too, this is how their events are found.
   */
  readonly minIdleMs?: number
  readonly maxIdleMs?: () => number
  readonly clock: Clock
  readonly random: () => number
  /** Takes secrets out of what handlers threw. */
  readonly redact: (text: string) => string
  readonly telemetry: Telemetry
  readonly log: Logger
}

/**
 * Takes due deliveries from the store, has them run, and settles what they came to. The store alone says what there is
 * to do; `wake` only says that looking is worthwhile, and losing it costs `maxIdleMs` at most. What could start at once is
 * leased as its event is stored (`offer`, `take`), which saves the look.
 */
export class Dispatcher {
  readonly #options: DispatcherOptions
  readonly #minIdleMs: number
  readonly #maxIdleMs: () => number
  readonly #settler: ReturnType<typeof createSettler>
  readonly #backlog: Backlog
  readonly #capacity: Capacity
  readonly #inFlight = new Set<Promise<void>>()
  #passing: Promise<void> | undefined
  #again = false
  /** Something may have become due that the claim under way has not seen. */
  #isStale = false
  #nextDueAtMs = Number.POSITIVE_INFINITY
  /** Offers that are not taken yet; and who waits for that. */
  #offers = 0
  #onTaken: () => void = () => {}
  #idleMs: number
  #timer: NodeJS.Timeout | undefined
  #wakesAtMs = Number.POSITIVE_INFINITY
  #stopping = false
  /** The store cannot be asked, which was told of. */
  #isAway = false

  constructor(options: DispatcherOptions) {
    const { handlers, pool } = options
    this.#options = options
    this.#maxIdleMs = options.maxIdleMs ?? (() => DEFAULT_MAX_IDLE_MS)
    this.#minIdleMs = options.minIdleMs ?? this.#maxIdleMs()
    this.#idleMs = this.#minIdleMs
    this.#backlog = new Backlog(handlers.map(({ name }) => name))
    this.#capacity = new Capacity(pool, handlers)
    const lookAgain = (): void => {
      if (!this.#backlog.isEmpty) this.#look()
    }
    this.#settler = createSettler({
      ...options,
      onDue: (dueAtMs) => this.#wakeBy(dueAtMs),
      onSettled: lookAgain,
    })
    pool.onRoom = lookAgain
  }

  /** Deliveries of these handlers, or of any, may be due. Cheap, and safe to call at any time. */
  wake(handlers?: readonly string[]): void {
    this.#backlog.add(handlers)
    this.#isStale = true
    this.#look()
  }

  /**
   * Which deliveries of a new event would start at once if they were leased as it is stored. What is offered is kept free until
   * `take` is called, which must be.
   */
  offer(handlers: readonly string[]): LeaseOffer | undefined {
    if (this.#stopping || this.#isAway || this.#options.receiving() > MAX_RECEIVING_TO_OFFER) return undefined
    if (this.#settler.unsettled() >= MAX_UNSETTLED) return undefined
    const offered = handlers.filter((handler) => !this.#backlog.has(handler) && this.#capacity.reserve(handler))
    if (offered.length === 0) return undefined
    this.#offers++
    return { handlers: offered, leaseMs: this.#options.leaseMs }
  }

  /** Starts what the store has leased of an offer; nothing of it, if the event was not stored or was no new one. */
  take({ handlers }: LeaseOffer, event: NewEvent, leased: readonly LeasedDelivery[] = []): void {
    for (const handler of handlers) this.#capacity.release(handler)
    for (const delivery of leased) this.#execute(workOf(event, delivery))
    this.#offers--
    this.#onTaken()
  }

  /**
   * Claims no more and waits for what runs; after `patienceMs` handlers are told by their signal, and `abortMs` later
   * their processes are ended and what they ran is given back, not counted. Idempotent.
   */
  async stop(patienceMs: number, abortMs: number): Promise<void> {
    this.#stopping = true
    clearTimeout(this.#timer)
    await within(this.#passing ?? Promise.resolve(), patienceMs)
    const done = this.#finish()
    if (!(await within(done, patienceMs))) {
      this.#options.pool.abort()
      await within(done, abortMs)
    }
    await this.#options.pool.close()
    await within(this.#finish(), abortMs)
  }

  async #finish(): Promise<void> {
    while (this.#inFlight.size > 0 || this.#offers > 0) {
      await Promise.all(this.#inFlight)
      if (this.#offers > 0) await this.#taken()
    }
    await this.#settler.flush()
  }

  #taken(): Promise<void> {
    return new Promise((resolve) => {
      this.#onTaken = resolve
    })
  }

  #look(): void {
    if (this.#stopping) return
    this.#again = true
    if (this.#passing !== undefined) return
    clearTimeout(this.#timer)
    this.#passing = this.#loop()
  }

  /** Something comes due then. */
  #wakeBy(dueAtMs: number): void {
    if (this.#stopping || this.#passing !== undefined) this.wake()
    else if (dueAtMs < this.#wakesAtMs) this.#sleep(Math.max(0, dueAtMs - this.#options.clock()))
  }

  async #loop(): Promise<void> {
    let sleepMs = 0
    while (this.#again && !this.#stopping) {
      this.#again = false
      await this.#yield()
      sleepMs = await this.#pass()
    }
    this.#passing = undefined
    if (!this.#stopping) this.#sleep(sleepMs)
  }

  #sleep(ms: number): void {
    clearTimeout(this.#timer)
    this.#wakesAtMs = this.#options.clock() + ms
    this.#timer = setTimeout(() => {
      this.#idleMs = Math.min(this.#maxIdleMs(), this.#idleMs * 2)
      this.wake()
    }, ms)
  }

  async #yield(): Promise<void> {
    await new Promise(setImmediate)
    for (
      let waitedMs = 0;
      waitedMs < MAX_YIELD_MS && !this.#stopping && this.#options.receiving() > 0;
      waitedMs += YIELD_STEP_MS
    ) {
      await new Promise((resolve) => setTimeout(resolve, YIELD_STEP_MS))
    }
  }

  /** Looks once. Gives how long there is nothing more to look for. */
  async #pass(): Promise<number> {
    const request = this.#claimRequest()
    if (request === undefined) {
      // Whatever is due waits for room, of which the pool tells.
      this.#backlog.add()
      return this.#untilNextDue()
    }
    try {
      this.#isStale = false
      const { work, nextDueAtMs } = await this.#options.store.claim(request)
      if (this.#isAway) this.#options.log.info('deliveries are claimed again')
      this.#isAway = false
      if (!this.#isStale) this.#backlog.claimed(request, work)
      for (const each of work) this.#execute(each)
      if (work.length > 0) {
        this.#again = true
        this.#idleMs = this.#minIdleMs
      }
      this.#nextDueAtMs = nextDueAtMs ?? Number.POSITIVE_INFINITY
      // It was to come when the store looked, and may have come since.
      return Math.min(this.#idleMs, Math.max(0, this.#nextDueAtMs - this.#options.clock()))
    } catch (error) {
      if (!this.#stopping && !this.#isAway)
        this.#options.log.warn({ error: messageOf(error) }, 'deliveries could not be claimed')
      this.#isAway = true
      return CLAIM_RETRY_MS
    }
  }

  #untilNextDue(): number {
    const untilMs = this.#nextDueAtMs - this.#options.clock()
    return untilMs > 0 ? Math.min(this.#maxIdleMs(), untilMs) : this.#maxIdleMs()
  }

  #claimRequest(): ClaimRequest | undefined {
    const { pool, leaseMs, retry } = this.#options
    if (this.#settler.unsettled() >= MAX_UNSETTLED) return undefined
    const { handlers, rooms } = this.#capacity.limits()
    if (handlers.length === 0) return undefined
    const isolatedLimit = pool.room().isolated
    return { handlers, sharedLimit: rooms, isolatedLimit, leaseMs, maxAttempts: retry.maxAttempts }
  }

  #execute(work: Work): void {
    this.#capacity.started(work.handler)
    const running = this.#run(work).finally(() => this.#inFlight.delete(running))
    this.#inFlight.add(running)
  }

  async #run(work: Work): Promise<void> {
    const { pool, routesOf, retry, clock, random, redact } = this.#options
    const ran = redacted(await pool.run(work), redact)
    this.#capacity.ended(work.handler)
    const ended = settlementOf(work, ran, { retry, nowMs: clock(), random, stopping: this.#stopping })
    const settlement = ended.verdict === 'dead' ? { ...ended, routes: routesOf(work.event.source) } : ended
    report(work, settlement, this.#options)
    this.#settler.add(settlement)
  }
}

const workOf = (event: NewEvent, { deliveryId, lease, handler }: LeasedDelivery): Work => ({
  deliveryId,
  lease,
  handler,
  attempt: 1,
  isolated: false,
  event: {
    uid: event.uid,
    source: event.source,
    provider: event.provider,
    id: event.id,
    type: event.type,
    receivedAtMs: event.receivedAtMs,
    origin: event.origin,
    headers: event.headers,
    ...(event.task !== undefined && { task: event.task }),
    ...(event.traceparent !== undefined && { traceparent: event.traceparent }),
  },
  body: event.body,
})
