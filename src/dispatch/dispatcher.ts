import type { Logger } from 'pino'
import type { Clock } from '../domain/clock.ts'
import type { Settlement, Work } from '../domain/delivery.ts'
import { messageOf } from '../domain/errors.ts'
import type { HandlerRegistration } from '../domain/handler.ts'
import type { RetryPolicy } from '../domain/retry.ts'
import type { ClaimRequest, Store } from '../domain/store.ts'
import type { Telemetry } from '../domain/telemetry.ts'
import type { Ran } from './handler-thread.ts'
import { settlementOf } from './settlement.ts'
import { createSettler } from './settler.ts'

const DEFAULT_MAX_IDLE_MS = 1_000
/** Wait after a claim that the store refused. */
const CLAIM_RETRY_MS = 500
/** The longest that a claim waits for events on their way in: so much of handlers' time is the acknowledgements'. */
const MAX_YIELD_MS = 20
const YIELD_STEP_MS = 2
/** Attempts that have ended but are not on disk yet; past it nothing is claimed. */
const MAX_UNSETTLED = 1_024

export interface DispatcherOptions {
  readonly store: Pick<Store, 'claim' | 'settle'>
  readonly pool: {
    onRoom: () => void
    room(): { readonly shared: number; readonly isolated: number }
    run(work: Work): Promise<Ran>
    abort(): void
    close(): Promise<void>
  }
  readonly registrations: readonly HandlerRegistration[]
  /** Whether events wait to be stored right now: acknowledgements go before handlers. */
  readonly isReceiving: () => boolean
  readonly retry: RetryPolicy
  readonly leaseMs: number
  /**
   * The longest that it sleeps, whatever the store says comes due next: `minIdleMs` after there was work, and twice as long
   * each time that it has slept through, up to `maxIdleMs`. Where others append too, this is how their events are found.
   */
  readonly minIdleMs?: number
  readonly maxIdleMs?: number
  readonly clock: Clock
  readonly random: () => number
  readonly telemetry: Telemetry
  readonly log: Logger
}

/**
 * Takes due deliveries from the store, has them run, and settles what they came to. The store alone says what there is
 * to do; `wake` only says that looking is worthwhile, and losing it costs `maxIdleMs` at most.
 */
export class Dispatcher {
  readonly #options: DispatcherOptions
  readonly #minIdleMs: number
  readonly #maxIdleMs: number
  readonly #settler: ReturnType<typeof createSettler>
  readonly #running = new Map<string, number>()
  readonly #inFlight = new Set<Promise<void>>()
  #passing: Promise<void> | undefined
  #again = false
  #idleMs: number
  #timer: NodeJS.Timeout | undefined
  #stopping = false
  /** The store cannot be asked, which was told of. */
  #isAway = false

  constructor(options: DispatcherOptions) {
    this.#options = options
    this.#maxIdleMs = options.maxIdleMs ?? DEFAULT_MAX_IDLE_MS
    this.#minIdleMs = options.minIdleMs ?? this.#maxIdleMs
    this.#idleMs = this.#minIdleMs
    this.#settler = createSettler({ ...options, onRetry: () => this.wake() })
    options.pool.onRoom = () => this.wake()
  }

  /** There may be work. Cheap, and safe to call at any time. */
  wake(): void {
    if (this.#stopping) return
    this.#again = true
    if (this.#passing !== undefined) return
    clearTimeout(this.#timer)
    this.#passing = this.#loop()
  }

  /**
   * Claims no more and waits for what runs; after `patienceMs` handlers are told by their signal, and `abortMs` later
   * their threads are ended and what they ran is given back, not counted. Idempotent.
   */
  async stop(patienceMs: number, abortMs: number): Promise<void> {
    this.#stopping = true
    clearTimeout(this.#timer)
    await this.#passing
    const done = this.#finish()
    if (!(await within(done, patienceMs))) {
      this.#options.pool.abort()
      await within(done, abortMs)
    }
    await this.#options.pool.close()
    await within(done, abortMs)
  }

  async #finish(): Promise<void> {
    await Promise.all(this.#inFlight)
    await this.#settler.flush()
  }

  async #loop(): Promise<void> {
    let sleepMs = 0
    while (this.#again && !this.#stopping) {
      this.#again = false
      await this.#yield()
      sleepMs = await this.#pass()
    }
    this.#passing = undefined
    if (!this.#stopping) this.#timer = setTimeout(() => this.#sleptThrough(), sleepMs)
  }

  #sleptThrough(): void {
    this.#idleMs = Math.min(this.#maxIdleMs, this.#idleMs * 2)
    this.wake()
  }

  async #yield(): Promise<void> {
    await new Promise(setImmediate)
    for (
      let waitedMs = 0;
      waitedMs < MAX_YIELD_MS && !this.#stopping && this.#options.isReceiving();
      waitedMs += YIELD_STEP_MS
    ) {
      await new Promise((resolve) => setTimeout(resolve, YIELD_STEP_MS))
    }
  }

  /** Looks once. Gives how long there is nothing more to look for. */
  async #pass(): Promise<number> {
    const request = this.#claimRequest()
    if (request === undefined) return this.#maxIdleMs
    try {
      const { work, nextDueAtMs } = await this.#options.store.claim(request)
      if (this.#isAway) this.#options.log.info('deliveries are claimed again')
      this.#isAway = false
      for (const each of work) this.#execute(each)
      if (work.length > 0) {
        this.#again = true
        this.#idleMs = this.#minIdleMs
      }
      if (nextDueAtMs === undefined) return this.#idleMs
      // It was to come when the store looked, and may have come since.
      return Math.min(this.#idleMs, Math.max(0, nextDueAtMs - this.#options.clock()))
    } catch (error) {
      if (!this.#stopping && !this.#isAway)
        this.#options.log.warn({ error: messageOf(error) }, 'deliveries could not be claimed')
      this.#isAway = true
      return CLAIM_RETRY_MS
    }
  }

  #claimRequest(): ClaimRequest | undefined {
    const { pool, registrations, leaseMs, retry } = this.#options
    const { shared, isolated } = pool.room()
    const room = shared + isolated
    if (room === 0 || this.#settler.unsettled() >= MAX_UNSETTLED) return undefined
    const handlers = registrations
      .map(({ name, concurrency }) => ({
        name,
        running: this.#running.get(name) ?? 0,
        limit: Math.min(room, (concurrency ?? room) - (concurrency === undefined ? 0 : (this.#running.get(name) ?? 0))),
      }))
      .filter(({ limit }) => limit > 0)
    if (handlers.length === 0) return undefined
    return { handlers, sharedLimit: shared, isolatedLimit: isolated, leaseMs, maxAttempts: retry.maxAttempts }
  }

  #execute(work: Work): void {
    this.#running.set(work.handler, (this.#running.get(work.handler) ?? 0) + 1)
    const running = this.#run(work).finally(() => this.#inFlight.delete(running))
    this.#inFlight.add(running)
  }

  async #run(work: Work): Promise<void> {
    const { pool, retry, clock, random } = this.#options
    const ran = await pool.run(work)
    this.#running.set(work.handler, (this.#running.get(work.handler) ?? 1) - 1)
    const settlement = settlementOf(work, ran, { retry, nowMs: clock(), random, stopping: this.#stopping })
    this.#report(work, settlement)
    this.#settler.add(settlement)
  }

  #report({ event, handler, attempt }: Work, { verdict, outcome, durationMs, dueAtMs, error }: Settlement): void {
    const { telemetry, log, clock } = this.#options
    const about = {
      uid: event.uid,
      source: event.source,
      type: event.type,
      handler,
      attempt,
      outcome,
      duration_ms: durationMs,
    }
    if (verdict === 'succeeded') {
      telemetry.processed(event.source, event.type, handler, durationMs / 1000)
      log.debug(about, 'event handled')
      return
    }
    if (verdict === 'released') {
      log.info({ ...about, error }, 'attempt given back')
      return
    }
    telemetry.failed(event.source, event.type, handler, durationMs / 1000)
    if (verdict === 'dead') log.error({ ...about, error }, 'delivery dead')
    else log.warn({ ...about, error, retry_in_ms: dueAtMs - clock() }, 'attempt failed')
  }
}

/** Whether a promise settled within the time. */
async function within(promise: Promise<unknown>, ms: number): Promise<boolean> {
  const { promise: late, resolve } = Promise.withResolvers<boolean>()
  const timer = setTimeout(() => resolve(false), Math.max(0, ms))
  try {
    return await Promise.race([promise.then(() => true), late])
  } finally {
    clearTimeout(timer)
  }
}
