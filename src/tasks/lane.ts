import type { Logger } from 'pino'
import type { Clock } from '../domain/clock.ts'
import { messageOf } from '../domain/errors.ts'
import { CALL_TIMEOUT_MS } from '../domain/limits.ts'
import type { Recover } from '../domain/recover.ts'
import type { LeasedTask } from '../domain/task.ts'
import type { TaskStore } from '../domain/task-store.ts'
import type { Telemetry } from '../domain/telemetry.ts'
import { type Asked, ask } from './ask.ts'
import { BREAKER_PAUSE_MS, Breaker, type BreakerState } from './breaker.ts'
import { RateLimit } from './rate-limit.ts'
import { pollDelayMs } from './schedule.ts'
import type { Submitter } from './submit.ts'
import { askable, type TaskSource } from './task-source.ts'

const DEFAULT_CONCURRENCY = 16
const DEFAULT_POLLS_PER_SECOND = 50
/** Longer than a question and the keeping of its answer may take. */
export const POLL_LEASE_MS = CALL_TIMEOUT_MS + 30_000

export interface LaneOptions {
  readonly store: Pick<TaskStore, 'claimTasks' | 'postpone'>
  readonly recover: Recover
  readonly submitter: Submitter
  readonly pollIntervalMs: number
  /** How long a provider in trouble is left alone. */
  readonly breakerPauseMs?: number
  readonly leaseMs?: number
  readonly clock: Clock
  readonly random: () => number
  readonly telemetry: Pick<Telemetry, 'polled'>
  readonly log: Logger
}

/** The polling of one source, apart from all others: a provider that hangs or is down delays nobody else's tasks. */
export class Lane {
  readonly #source: TaskSource
  readonly #options: LaneOptions
  readonly #limit: RateLimit
  readonly #breaker: Breaker
  readonly #concurrency: number
  readonly #stopping = new AbortController()
  readonly #inFlight = new Set<Promise<void>>()
  #passing: Promise<void> | undefined
  #pausedUntilMs = 0

  constructor(source: TaskSource, options: LaneOptions) {
    const { provider, name } = source.source
    const { clock, log, breakerPauseMs = BREAKER_PAUSE_MS } = options
    this.#source = source
    this.#options = options
    this.#concurrency = provider.api?.tasks?.concurrency ?? DEFAULT_CONCURRENCY
    this.#limit = new RateLimit(provider.api?.tasks?.pollsPerSecond ?? DEFAULT_POLLS_PER_SECOND, clock)
    this.#breaker = new Breaker(clock, breakerPauseMs, (state) => {
      if (state === 'open')
        log.warn({ source: name, pause_ms: breakerPauseMs }, 'the provider is in trouble: polls pause')
      if (state === 'closed') log.info({ source: name }, 'the provider answers again: polls go on')
    })
  }

  /** Null: there is nobody to ask. */
  breaker = (): BreakerState | null => (askable(this.#source) === undefined ? null : this.#breaker.state())

  /** Handles every task that is due, once; one pass at a time. Never rejects. */
  pass(): Promise<void> {
    this.#passing ??= this.#pass().finally(() => {
      this.#passing = undefined
    })
    return this.#passing
  }

  /** Claims no more, breaks off what is asked, and lets its tasks go. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#passing
  }

  /** Asks for one leased task now, whatever the pace: its owner wants to know. */
  handleNow(task: LeasedTask): Promise<void> {
    return this.#handle(task)
  }

  async #pass(): Promise<void> {
    try {
      while (!this.#stopping.signal.aborted) {
        const free = this.#concurrency - this.#inFlight.size
        const staleLimit = this.#room(free)
        const isLimited = staleLimit === 0 && this.#mayAsk() && this.#breaker.lets(1) > 0
        const tasks = free === 0 ? [] : await this.#claim(staleLimit, free)
        for (const task of tasks) this.#start(task)
        if (tasks.length > 0) continue
        if (this.#inFlight.size > 0) await Promise.race(this.#inFlight)
        else if (isLimited) await pause(this.#limit.waitMs(), this.#stopping.signal)
        else return
      }
    } catch (error) {
      const { source } = this.#source
      if (!this.#stopping.signal.aborted)
        this.#options.log.warn({ source: source.name, error: messageOf(error) }, 'stale tasks could not be claimed')
    } finally {
      await Promise.all(this.#inFlight)
    }
  }

  /** How many stale tasks may be asked for now. */
  #room(free: number): number {
    if (!this.#mayAsk()) return 0
    return this.#breaker.lets(Math.min(free, this.#limit.available()))
  }

  #mayAsk = (): boolean => askable(this.#source) !== undefined && this.#options.clock() >= this.#pausedUntilMs

  #claim(staleLimit: number, expiredLimit: number): Promise<readonly LeasedTask[]> {
    const { store, leaseMs = POLL_LEASE_MS } = this.#options
    return store.claimTasks({ source: this.#source.source.name, staleLimit, expiredLimit, leaseMs })
  }

  #start(task: LeasedTask): void {
    const handling = this.#handle(task).finally(() => this.#inFlight.delete(handling))
    this.#inFlight.add(handling)
  }

  async #handle(task: LeasedTask): Promise<void> {
    const { clock, log, submitter } = this.#options
    try {
      if (clock() >= task.expiresAtMs) await this.#expire(task)
      else if (task.id === undefined) await submitter.again(this.#source, task, this.#stopping.signal)
      else await this.#poll({ ...task, id: task.id })
    } catch (error) {
      // Its lease runs out, and it is due again.
      log.warn(
        { source: task.source, task: task.id ?? task.uid, error: messageOf(error) },
        'a stale task was not settled',
      )
    }
  }

  async #poll(task: LeasedTask & { readonly id: string }): Promise<void> {
    const { clock, store, random, pollIntervalMs } = this.#options
    const asked = await this.#ask(task.id)
    if (asked === undefined) {
      await store.postpone([{ uid: task.uid, lease: task.lease, dueAtMs: clock() }])
      return
    }
    if (asked.outcome === 'terminal') {
      await this.#recover(task, asked)
      return
    }
    const failures = 'error' in asked ? task.failures + 1 : 0
    const retryAfterMs = 'error' in asked ? asked.retryAfterMs : undefined
    this.#heed(asked.outcome, retryAfterMs)
    this.#options.telemetry.polled(task.source, asked.outcome)
    const ageMs = clock() - task.createdAtMs
    const delayMs = pollDelayMs({ ageMs, failures, pollIntervalMs, retryAfterMs }, random)
    const said = 'error' in asked ? { error: asked.error } : { word: asked.word }
    await store.postpone([{ uid: task.uid, lease: task.lease, dueAtMs: clock() + delayMs, asked: said }])
  }

  /** Undefined: it was not asked, because the circuit is open or the service stops. */
  async #ask(taskId: string): Promise<Asked | undefined> {
    const access = askable(this.#source)
    const { signal } = this.#stopping
    if (access === undefined || signal.aborted) return undefined
    const waitMs = this.#limit.reserve()
    if (waitMs > 0) await pause(waitMs, signal)
    const asked = await this.#breaker.run(() => ask(access.api, access.call, taskId, this.#options.clock, signal))
    return signal.aborted && asked !== undefined && 'error' in asked ? undefined : asked
  }

  /** Overload is the provider's, whichever task it was told for. */
  #heed(outcome: Asked['outcome'], retryAfterMs = 0): void {
    if (outcome !== 'rate_limited' && outcome !== 'server_error') return
    this.#pausedUntilMs = Math.max(this.#pausedUntilMs, this.#options.clock() + retryAfterMs)
  }

  async #recover(
    task: LeasedTask & { readonly id: string },
    { answer }: Extract<Asked, { outcome: 'terminal' }>,
  ): Promise<void> {
    const { recover, telemetry } = this.#options
    const recovered = await recover.answered(this.#source.source, task, answer)
    telemetry.polled(task.source, recovered === 'kept' ? 'terminal' : 'late')
  }

  /**
   * At its deadline a stale task is asked for a last time, where that is possible: a service that was down for long must
   * not give up what had ended meanwhile.
   */
  async #expire(task: LeasedTask): Promise<void> {
    const { recover, telemetry, clock } = this.#options
    const isStale = task.id !== undefined && clock() >= task.staleAtMs
    const asked = isStale && this.#mayAsk() && this.#breaker.lets(1) > 0 ? await this.#ask(task.id) : undefined
    if (this.#stopping.signal.aborted) return
    if (task.id !== undefined && asked?.outcome === 'terminal') return this.#recover({ ...task, id: task.id }, asked)
    if (asked !== undefined) telemetry.polled(task.source, asked.outcome)
    const error = asked !== undefined && 'error' in asked ? asked.error : task.lastError
    await recover.expired(this.#source.source, task, error)
  }
}

/** Resolves after the time, or when the signal is aborted. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, ms)
  signal.addEventListener('abort', () => resolve(), { once: true })
  return promise.finally(() => clearTimeout(timer))
}
