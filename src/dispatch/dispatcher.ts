import { settlesWithin } from '../domain/clock.ts'
import { type AttemptResult, type LeasedDelivery, leasedWork, type Settlement, type Work } from '../domain/delivery.ts'
import type { ClaimRequest } from '../domain/delivery-queue.ts'
import type { LeaseOffer, NewEvent } from '../domain/event.ts'
import { settlementOf } from '../domain/retry-or-dead.ts'
import { AttemptPolicies, longestWaits } from './attempt-policies.ts'
import { ClaimLoop } from './claim-loop.ts'
import { ConcurrencyLimits } from './concurrency-limits.ts'
import type { DispatcherOptions } from './dispatcher-options.ts'
import { EarliestTimer } from './earliest-timer.ts'
import { heldSettlement, NO_PAUSES, type PauseView } from './pauses.ts'
import { Prefetch } from './prefetch.ts'
import { RateLimits, type RememberedStart } from './rate-limits.ts'
import { redactResult, reportSettlement, SettlementQueue } from './settlement-queue.ts'

/**
 * While more events than this wait to be stored, the dispatcher offers no lease for a new event: acknowledgements go first, and
 * a later claim finds the deliveries of the event.
 */
const MAX_RECEIVING_TO_OFFER = 8
/** While this many attempts have ended and are not settled, the dispatcher neither claims deliveries nor offers leases. */
const MAX_UNSETTLED = 1_024

/**
 * Claims due deliveries, runs them in the pool, and settles their results. Only the store knows which deliveries are due; `wake`
 * just says that a claim is worthwhile. Deliveries of a new event that could start at once are leased as the event is stored
 * (`offer`, `take`), which saves the claim.
 *
 * A reload makes a new dispatcher with new handlers. The old one hands over to it (`handOver`).
 */
export class Dispatcher {
  readonly #options: DispatcherOptions
  readonly #claims: ClaimLoop
  readonly #settlements: SettlementQueue
  readonly #limits: ConcurrencyLimits
  readonly #prefetch: Prefetch
  readonly #policies: AttemptPolicies
  readonly #pauses: PauseView
  /** Undefined if no handler has a rate. */
  readonly #rates: RateLimits | undefined
  /** Fires when the first of the throttled handlers whose deliveries wait may start an attempt. */
  readonly #rateTimer = new EarliestTimer(() => this.#throttleEnded())
  readonly #inFlight = new Set<Promise<void>>()
  /** The number of offers whose `take` has not been called yet, and what to call at the next `take`. */
  #offers = 0
  #onTaken: () => void = () => {}
  #isStopping = false
  /** The dispatcher that claims in place of this one. */
  #successor: Dispatcher | undefined

  constructor(options: DispatcherOptions) {
    const { handlers, pool, running, attempts, pauses = NO_PAUSES } = options
    this.#options = options
    this.#pauses = pauses
    this.#policies = new AttemptPolicies(handlers, attempts)
    this.#rates = RateLimits.of(handlers, options)
    this.#limits = new ConcurrencyLimits(pool, handlers, running, this.#rates)
    const names = handlers.map(({ name }) => name)
    this.#prefetch = new Prefetch(names, {
      limits: this.#limits,
      mayWait: (handler) => this.#mayLeaseAhead(handler),
      onLate: (late) => this.#release(late, 'its handler had no capacity in time'),
    })
    this.#claims = new ClaimLoop({
      ...options,
      handlers: names,
      request: () => this.#claimRequest(),
      onClaimed: (work) => this.#keepsBack(work) || this.#prefetch.keeps(work) || this.#execute(work),
      onClaimEnded: () => {
        this.#rates?.answered()
        this.#waitForRate()
      },
      isThrottled: this.#mayNotStart,
    })
    this.#settlements = new SettlementQueue({
      ...options,
      leaseMs: longestWaits(handlers, attempts).leaseMs,
      onDue: (dueAtMs) => this.#newest.#claims.wakeBy(dueAtMs),
      onSettled: () => this.#newest.#claims.onCapacity(),
    })
    pool.onCapacity = () => {
      this.#newest.#startPrefetched()
      this.#newest.#claims.onCapacity()
    }
  }

  /**
   * Says that deliveries of these handlers may be due; without `handlers`, of any handler. Cheap, and safe to call at any time.
   */
  wake(handlers?: readonly string[]): void {
    const newest = this.#newest
    if (newest.#rates !== undefined && handlers?.some(newest.#rates.has) === true) newest.#waitForRate(handlers)
    newest.#claims.wake(handlers)
  }

  /**
   * Names the handlers whose deliveries of a new event can start at once if the store leases them as it stores the event.
   * Reserves capacity for them; the caller must call `take`, which ends the reservation.
   */
  offer(handlers: readonly string[], source: string): LeaseOffer | undefined {
    if (this.#isStopping || this.#successor !== undefined || this.#claims.isFailing) return undefined
    if (this.#options.receiving() > MAX_RECEIVING_TO_OFFER) return undefined
    if (this.#settlements.unsettled >= MAX_UNSETTLED) return undefined
    const { isDraining, isSourcePaused, isHandlerPaused } = this.#pauses
    if (isDraining || isSourcePaused(source)) return undefined
    const offered = handlers.filter(
      (handler) => !isHandlerPaused(handler) && !this.#isBehind(handler) && this.#limits.reserve(handler),
    )
    if (offered.length === 0) return undefined
    this.#offers++
    return { handlers: offered, leaseMs: this.#policies.leaseOf(offered) }
  }

  /**
   * Starts those deliveries of an offer that the store has leased: none, if the store has not stored the event or knew it
   * already.
   */
  take({ handlers }: LeaseOffer, event: NewEvent, leased: readonly LeasedDelivery[] = []): void {
    for (const handler of handlers) this.#limits.release(handler)
    for (const delivery of leased) {
      const work = leasedWork(event, delivery)
      if (!this.#keepsBack(work)) this.#execute(work)
    }
    if (this.#rates !== undefined) this.#released(this.#rates, handlers)
    this.#offers--
    this.#onTaken()
  }

  /** Says that `pauses` has changed, or that held deliveries have become due. */
  pausesChanged(): void {
    this.#putBack(this.#prefetch.takeThose(this.#pauses.keepsBack))
    if (!this.#pauses.isDraining) this.wake()
  }

  /**
   * Hands over to the dispatcher that a reload has made: from now on only `successor` claims and offers. The attempts that run, and
   * the deliveries that are being leased, end in the pool of this dispatcher. Resolves when they are settled and that pool is closed.
   */
  async handOver(successor: Dispatcher): Promise<void> {
    this.#successor = successor
    this.#rateTimer.stop()
    await this.#claims.stop()
    await this.#finish('the handlers were reloaded')
    await this.#options.pool.close()
    this.#options.pool.onCapacity = () => {}
  }

  /**
   * Stops claiming and waits for the running attempts. After `graceMs` it aborts the signals of their handlers. `abortMs` later
   * it kills their processes and releases the leases of the attempts that still ran there; those attempts do not count.
   * Idempotent.
   */
  async stop(graceMs: number, abortMs: number): Promise<void> {
    this.#isStopping = true
    this.#rateTimer.stop()
    await settlesWithin(this.#claims.stop(), graceMs)
    const done = this.#finish('the service stopped')
    if (!(await settlesWithin(done, graceMs))) {
      this.#options.pool.abort()
      await settlesWithin(done, abortMs)
    }
    await this.#options.pool.close()
    await settlesWithin(this.#finish('the service stopped'), abortMs)
  }

  get #newest(): Dispatcher {
    return this.#successor === undefined ? this : this.#successor.#newest
  }

  /** Releases what waits here, and resolves when everything else is settled. */
  async #finish(reason: string): Promise<void> {
    this.#release(this.#prefetch.takeAll(), reason)
    while (this.#inFlight.size > 0 || this.#offers > 0) {
      await Promise.all(this.#inFlight)
      if (this.#offers > 0) await this.#untilTaken()
    }
    await this.#settlements.flush()
  }

  #untilTaken(): Promise<void> {
    return new Promise((resolve) => {
      this.#onTaken = resolve
    })
  }

  #claimRequest(): ClaimRequest | undefined {
    const { pool } = this.#options
    this.#waitForRate()
    if (this.#settlements.unsettled >= MAX_UNSETTLED || this.#pauses.isDraining) return undefined
    const { handlers: free, total } = this.#prefetch.claimLimits(this.#limits.limits())
    const handlers = free.filter(({ name }) => !this.#pauses.isHandlerPaused(name))
    if (handlers.length === 0) return undefined
    this.#rates?.ask(handlers)
    const isolatedLimit = pool.free().isolated
    return { handlers, sharedLimit: total, isolatedLimit, ...this.#policies.ofClaims }
  }

  /** Whether older deliveries of the handler wait, which go first. */
  #isBehind = (handler: string): boolean => this.#claims.hasBacklog(handler) || this.#prefetch.has(handler)

  /**
   * What is leased under a rate counts as started. What an unstable handler cannot start should be free for other replicas. And where
   * the first attempt is the last one, a delivery whose lease is lost with the service is dead, although it never ran.
   */
  #mayLeaseAhead(handler: string): boolean {
    if (this.#rates?.has(handler) === true || this.#options.pool.isUnstable(handler)) return false
    return this.#policies.of(handler).retry.maxAttempts > 1
  }

  #startPrefetched(): void {
    for (let work = this.#prefetch.next(); work !== undefined; work = this.#prefetch.next()) this.#execute(work)
  }

  #mayNotStart = (handler: string): boolean =>
    this.#pauses.isDraining || this.#pauses.isHandlerPaused(handler) || this.#rates?.isThrottled(handler) === true

  /** Puts a leased delivery back if it must not start now. */
  #keepsBack(work: Work): boolean {
    const isKeptBack = this.#pauses.keepsBack(work)
    if (isKeptBack) this.#putBack([work])
    return isKeptBack
  }

  #putBack(all: readonly Work[]): void {
    const { isSourcePaused, isDraining } = this.#pauses
    const nowMs = this.#options.clock()
    for (const work of all) if (isSourcePaused(work.event.source)) this.#settlements.add(heldSettlement(work, nowMs))
    const rest = all.filter(({ event }) => !isSourcePaused(event.source))
    this.#release(rest, isDraining ? 'this process drains' : 'its handler is paused')
  }

  /** Gives back deliveries that have not started. One line of the log tells of all: there may be hundreds. */
  #release(all: readonly Work[], error: string): void {
    if (all.length === 0) return
    this.#options.log.info({ deliveries: all.length, reason: error }, 'gave back deliveries that were leased ahead')
    const released = { outcome: 'released', error, isolate: false, durationMs: 0 } as const
    for (const work of all) this.#settlements.add(this.#decide(work, { ...released, startedAtMs: Date.now() }))
  }

  /** Says that an offer has ended: deliveries of its handlers may wait for the starts that it had reserved. */
  #released(rates: RateLimits, handlers: readonly string[]): void {
    if (handlers.some((handler) => rates.has(handler) && this.#claims.hasBacklog(handler))) this.#throttleEnded()
  }

  #throttleEnded(): void {
    this.#waitForRate()
    this.#claims.onCapacity()
  }

  /**
   * Claims again when the first of the throttled handlers with a backlog, or of those that are `woken`, may start an attempt.
   * The dispatcher calls this before each look at which handlers are throttled. If the time of a handler comes between the two, that
   * look finds it free; otherwise its timer is set.
   */
  #waitForRate(woken: readonly string[] = []): void {
    if (this.#rates === undefined || this.#isStopping || this.#successor !== undefined) return
    const waits = (handler: string) => this.#claims.hasBacklog(handler) || woken.includes(handler)
    this.#rateTimer.within(this.#rates.nextInMs((handler) => !this.#pauses.isHandlerPaused(handler) && waits(handler)))
  }

  #execute(work: Work): void {
    this.#limits.started(work.handler)
    const running = this.#run(work, this.#rates?.started(work.handler)).finally(() => this.#inFlight.delete(running))
    this.#inFlight.add(running)
  }

  async #run(work: Work, start: RememberedStart | undefined): Promise<void> {
    const { pool, redact } = this.#options
    const result = redactResult(await pool.run(work, this.#policies.of(work.handler).timeoutMs), redact)
    this.#limits.ended(work.handler)
    this.#prefetch.ended(work)
    if (start !== undefined) this.#rates?.ended(start, result.durationMs)
    const settlement = this.#decide(work, result)
    reportSettlement(work, settlement, this.#options)
    this.#settlements.add(settlement)
    this.#newest.#startPrefetched()
  }

  #decide(work: Work, result: AttemptResult): Settlement {
    const { routesOf, clock, random, handlersDir: directory } = this.#options
    const { retry } = this.#policies.of(work.handler)
    const decided = settlementOf(work, result, {
      retry,
      nowMs: clock(),
      random,
      stopping: this.#isStopping,
      directory,
    })
    return decided.verdict === 'dead' ? { ...decided, routes: routesOf(work.event.source) } : decided
  }
}
