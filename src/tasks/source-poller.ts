import type { Logger } from 'pino'
import type { Clock } from '../domain/clock.ts'
import { messageOf } from '../domain/errors.ts'
import { CALL_TIMEOUT_MS } from '../domain/limits.ts'
import type { CallProvider } from '../domain/outbound.ts'
import type { BreakerState, ConnectedSource, ProviderOutage } from '../domain/source.ts'
import type { LeasedTask } from '../domain/task.ts'
import type { Asked, Asker } from '../domain/task-question.ts'
import type { TaskStore } from '../domain/task-store.ts'
import type { Telemetry } from '../domain/telemetry.ts'
import type { BodyReader } from '../pipeline/body-reader.ts'
import type { PollAnswers } from '../pipeline/poll-answers.ts'
import type { ProviderReaders } from '../pipeline/provider-readers.ts'
import { ask } from './ask.ts'
import { CallThrottle } from './call-throttle.ts'
import { BREAKER_PAUSE_MS } from './circuit-breaker.ts'
import { lastKnown, type Polled, whyNotPolled } from './last-known.ts'
import { PollWarnings } from './poll-warnings.ts'
import { callableApi, type PollResult, pollTask } from './provider-calls.ts'
import { pollDelayMs } from './schedule.ts'
import type { SubmitResult, Submitter } from './submit.ts'

const DEFAULT_CONCURRENCY = 16
const DEFAULT_POLLS_PER_SECOND = 50
/** Longer than the longest poll, including the wait for memory and the storing of the answer. */
export const POLL_LEASE_MS = 4 * CALL_TIMEOUT_MS + 90_000
/** The share of polls for tasks whose last poll failed, while other tasks are due too. */
const FAILED_SHARE = 0.25

export interface SourcePollerOptions {
  readonly store: TaskStore
  readonly pollAnswers: PollAnswers
  readonly readers?: Pick<ProviderReaders, 'api'>
  readonly reader: Pick<BodyReader, 'pollAnswer'>
  readonly submitter: Submitter
  readonly pollIntervalMs: number
  /** How long the circuit stays open if the provider does not answer. */
  readonly breakerPauseMs?: number
  /** While an operator drains this process, it claims no tasks. */
  readonly isDraining?: () => boolean
  /** How long a claimed task is leased. */
  readonly leaseMs?: number
  readonly clock: Clock
  /** A monotonic clock. */
  readonly monotonicMs?: () => number
  readonly random: () => number
  readonly telemetry: Pick<Telemetry, 'polled'>
  readonly log: Logger
}

type Submitting = LeasedTask
type Pending = LeasedTask & { readonly id: string }
type Terminal = Extract<PollResult, { outcome: 'terminal' }>

/** Polls the tasks of one source. Each source has a poller of its own, so that a provider that hangs does not delay other sources' tasks. */
export class SourcePoller {
  readonly #source: ConnectedSource
  readonly #options: SourcePollerOptions
  readonly #throttle: CallThrottle
  readonly #warnings: PollWarnings
  readonly #concurrency: number
  readonly #stopping = new AbortController()
  #isFinishing = false
  readonly #inFlight = new Set<Promise<unknown>>()
  #passing: Promise<void> | undefined
  #failingSinceMs = 0
  /** How many of the next claimed tasks are to be tasks whose last poll failed. */
  #failedPlaces = 0
  /** The store cannot be reached, and this was logged. */
  #isStoreAway = false

  constructor(source: ConnectedSource, options: SourcePollerOptions) {
    const { provider, name } = source
    const { log, breakerPauseMs = BREAKER_PAUSE_MS, monotonicMs = () => performance.now() } = options
    const { concurrency = DEFAULT_CONCURRENCY, pollsPerSecond = DEFAULT_POLLS_PER_SECOND } = provider.api?.tasks ?? {}
    this.#source = source
    this.#options = options
    this.#concurrency = concurrency
    this.#warnings = new PollWarnings(name, log)
    this.#throttle = new CallThrottle({
      perSecond: pollsPerSecond,
      pauseMs: breakerPauseMs,
      monotonicMs,
      stopping: this.#stopping.signal,
      onChange: (state) => {
        this.#failingSinceMs = state === 'open' ? options.clock() : 0
        if (state === 'open') log.warn({ source: name, pause_ms: breakerPauseMs }, 'the provider fails: polls pause')
        if (state === 'closed') log.info({ source: name }, 'the provider answers again: polls go on')
      },
    })
  }

  /** Null: the provider cannot be called for tasks. */
  breaker = (): BreakerState | null => (callableApi(this.#source) === undefined ? null : this.#throttle.state())

  outage(): ProviderOutage | undefined {
    const failing = this.breaker() === null ? undefined : this.#throttle.failing()
    return failing && { ...failing, sinceMs: this.#failingSinceMs }
  }

  /** How long a poll that begins now would wait for the rate limit. */
  waitMs = (): number => this.#throttle.waitMs()

  /** Handles every task that is due, once. While a pass runs, a second call joins it. Never rejects. */
  pass(): Promise<void> {
    this.#passing ??= this.#pass().finally(() => {
      this.#passing = undefined
    })
    return this.#passing
  }

  /** Claims no more, and lets open polls end. */
  async finish(): Promise<void> {
    this.#isFinishing = true
    await this.#passing
  }

  /** Claims no more, breaks off open polls, and releases their tasks. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#passing
  }

  /** Polls one leased task now, for an operator. False: it was not polled, because the circuit is open. */
  pollNow(task: LeasedTask): Promise<boolean> {
    return this.#handle(task, 'operator')
  }

  async #pass(): Promise<void> {
    const { isDraining = () => false } = this.#options
    try {
      while (!this.#isFinishing && !this.#stopping.signal.aborted && !isDraining()) {
        const free = this.#concurrency - this.#inFlight.size
        const isRateLimited = callableApi(this.#source) !== undefined && this.#throttle.isRateLimited()
        const tasks = free === 0 ? [] : await this.#claim(free, isRateLimited)
        this.#isStoreAway = false
        for (const task of tasks) this.#start(task)
        if (tasks.length > 0) continue
        if (this.#inFlight.size > 0) await Promise.race(this.#inFlight)
        else if (isRateLimited) await this.#throttle.sleep(this.#throttle.waitMs())
        else return
      }
    } catch (error) {
      const { name: source } = this.#source
      if (!this.#stopping.signal.aborted && !this.#isStoreAway)
        this.#options.log.warn({ source, error: messageOf(error) }, 'stale tasks could not be claimed')
      this.#isStoreAway = true
    } finally {
      await Promise.all(this.#inFlight)
    }
  }

  /**
   * Claims no more tasks than can be polled soon; tasks past their deadline can be ended without a poll. Tasks whose last poll did not
   * fail come first, so that one of them is the probe while the circuit is open. The others get `FAILED_SHARE` nevertheless.
   */
  async #claim(free: number, isRateLimited: boolean): Promise<readonly LeasedTask[]> {
    const { store, leaseMs = POLL_LEASE_MS } = this.#options
    const staleLimit = callableApi(this.#source) === undefined ? 0 : this.#throttle.allowed(free)
    const expiredLimit = staleLimit > 0 ? staleLimit : isRateLimited ? 0 : free
    const failedPlaces = this.#throttle.state() === 'closed' ? Math.min(staleLimit, Math.floor(this.#failedPlaces)) : 0
    const { name: source } = this.#source
    const tasks = await store.claimTasks({ source, staleLimit, failedPlaces, expiredLimit, leaseMs })
    const sound = tasks.filter(({ failures }) => failures === 0)
    const failed = tasks.filter(({ failures }) => failures > 0)
    const earned = this.#failedPlaces + FAILED_SHARE * sound.length - failed.length
    this.#failedPlaces = Math.min(Math.max(1, FAILED_SHARE * this.#concurrency), Math.max(0, earned))
    return [...sound, ...failed]
  }

  #start(task: LeasedTask): void {
    const handling = this.#handle(task, 'poller').finally(() => this.#inFlight.delete(handling))
    this.#inFlight.add(handling)
  }

  /** Resolves with false if the provider should have been called and was not. Never rejects. */
  async #handle(task: LeasedTask, by: Asker): Promise<boolean> {
    const { clock, log } = this.#options
    try {
      if (clock() >= task.expiresAtMs) return await this.#expire(task, by)
      return await (task.id === undefined ? this.#submit(task, by) : this.#poll({ ...task, id: task.id }, by))
    } catch (error) {
      // The task's lease runs out, and the task is due again.
      log.warn(
        { source: task.source, task: task.id ?? task.uid, error: messageOf(error) },
        'a stale task was not settled',
      )
      return true
    }
  }

  async #submit(task: Submitting, by: Asker): Promise<boolean> {
    const { submitter } = this.#options
    const again = () => submitter.again(this.#source, task, by, this.#stopping.signal)
    const submitted = await this.#throttle.call(again, errorOfSubmission)
    return submitted === undefined ? this.#release(task) : true
  }

  async #poll(task: Pending, by: Asker): Promise<boolean> {
    const { clock, store, random, pollIntervalMs, telemetry } = this.#options
    using hold = new DisposableStack()
    const polled = await this.#pollOnce(task, by, hold)
    if (polled === undefined) return this.#release(task)
    const { result, asked } = polled
    const warning = this.#warnings.check(task, result)
    if (result.outcome === 'terminal') return await this.#keep(task, result, asked)
    const error = errorOfPoll(result)
    telemetry.polled(task.source, result.outcome)
    const delayMs = pollDelayMs(
      {
        ageMs: clock() - task.createdAtMs,
        failures: error === undefined ? 0 : task.failures + 1,
        pollIntervalMs,
        retryAfterMs: error?.retryAfterMs,
      },
      random,
    )
    const outcome =
      'error' in result
        ? { error: result.error, asked }
        : { providerStatus: result.providerStatus, ...(warning && { error: warning }), asked }
    await store.postpone([{ uid: task.uid, lease: task.lease, dueAtMs: clock() + delayMs, outcome }])
    return true
  }

  /** Releases the lease of a task that was not polled: the task is due again at once. */
  async #release({ uid, lease }: LeasedTask): Promise<false> {
    await this.#options.store.postpone([{ uid, lease, dueAtMs: this.#options.clock() }])
    return false
  }

  /** Undefined: the task was not polled, because the circuit is open or the service stops. */
  async #pollOnce(task: Pending, by: Asker, hold: DisposableStack): Promise<Polled | undefined> {
    const api = callableApi(this.#source)
    if (api === undefined) return undefined
    const { signal } = this.#stopping
    const call: CallProvider = async (...args) => {
      const result = await api.call(...args)
      if (result.ok) this.#throttle.chargeBytes(result.body.length)
      return result
    }
    const { clock: nowMs, readers, reader } = this.#options
    const reading = { reader, ...(readers !== undefined && { readers }) }
    const options = { source: this.#source, task, ...reading, call, nowMs, signal, hold }
    const askOnce = () => ask({ kind: 'poll', by }, this.#options, () => pollTask(options))
    const polled = await this.#throttle.call(askOnce, ({ result }) => errorOfPoll(result))
    return signal.aborted && polled !== undefined && 'error' in polled.result ? undefined : polled
  }

  async #keep(task: Pending, { answer }: Terminal, asked: Asked): Promise<true> {
    const { pollAnswers, telemetry } = this.#options
    const outcome = await pollAnswers.keepAnswer(this.#source, task, answer, asked)
    const kept = answer.truncated === undefined ? 'terminal' : 'truncated'
    telemetry.polled(task.source, outcome === 'kept' ? kept : 'late')
    return true
  }

  /**
   * Ends a task at its deadline. Polls a stale task one last time first, if that is possible: the service may have been down for long,
   * and the task may have ended meanwhile.
   */
  async #expire(task: LeasedTask, by: Asker): Promise<boolean> {
    const { pollAnswers, telemetry, clock } = this.#options
    using hold = new DisposableStack()
    const stale = task.id !== undefined && clock() >= task.staleAtMs ? { ...task, id: task.id } : undefined
    const isPolled = stale !== undefined && this.#throttle.allowed(1) > 0
    const polled = isPolled ? await this.#pollOnce(stale, by, hold) : undefined
    const result = polled?.result
    if (this.#stopping.signal.aborted) return false
    const warning = result && this.#warnings.check(task, result)
    if (stale !== undefined && polled !== undefined && result?.outcome === 'terminal')
      return await this.#keep(stale, result, polled.asked)
    if (result !== undefined) telemetry.polled(task.source, result.outcome)
    const ifNotPolled = task.lastError ?? whyNotPolled(this.#source, stale !== undefined)
    await pollAnswers.keepExpiry(this.#source, task, lastKnown(polled, warning, ifNotPolled))
    return true
  }
}

const errorOfPoll = (result: PollResult) => ('error' in result ? result : undefined)
const errorOfSubmission = (submitted: SubmitResult) =>
  submitted.outcome === 'unknown' ? submitted.callError : undefined
