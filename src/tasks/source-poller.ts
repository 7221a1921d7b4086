import type { Logger } from 'pino'
import type { Clock } from '../domain/clock.ts'
import { messageOf } from '../domain/errors.ts'
import { CALL_TIMEOUT_MS } from '../domain/limits.ts'
import type { CallProvider } from '../domain/outbound.ts'
import type { ConnectedSource } from '../domain/source.ts'
import type { LeasedTask } from '../domain/task.ts'
import type { TaskStore } from '../domain/task-store.ts'
import type { Telemetry } from '../domain/telemetry.ts'
import type { BodyReader } from '../pipeline/body-reader.ts'
import type { LastKnown, PollAnswers } from '../pipeline/poll-answers.ts'
import type { ProviderReaders } from '../pipeline/provider-readers.ts'
import { type Asked, ask } from './ask.ts'
import { BREAKER_PAUSE_MS, type BreakerState } from './breaker.ts'
import { Gate } from './call-throttle.ts'
import { Findings } from './findings.ts'
import { pollDelayMs } from './schedule.ts'
import type { Submitted, Submitter } from './submit.ts'
import { askable, whyUnaskable } from './task-source.ts'

const DEFAULT_CONCURRENCY = 16
const DEFAULT_POLLS_PER_SECOND = 50
/** Longer than a question, the wait for its answer's room and the keeping of it may take. */
export const POLL_LEASE_MS = 4 * CALL_TIMEOUT_MS + 90_000
/** Of the tasks that are asked for, so many are such as have failed, while others wait too. */
const FAILED_SHARE = 0.25

export interface LaneOptions {
  readonly store: TaskStore
  readonly pollAnswers: PollAnswers
  readonly readers?: Pick<ProviderReaders, 'api'>
  readonly reader: Pick<BodyReader, 'pollAnswer'>
  readonly submitter: Submitter
  readonly pollIntervalMs: number
  /** How long a provider in trouble is left alone. */
  readonly breakerPauseMs?: number
  readonly leaseMs?: number
  readonly clock: Clock
  /** Milliseconds by a clock that nobody sets. */
  readonly monotonicMs?: () => number
  readonly random: () => number
  readonly telemetry: Pick<Telemetry, 'polled'>
  readonly log: Logger
}

type Submitting = LeasedTask
type Pending = LeasedTask & { readonly id: string }

/** The polling of one source, apart from all others: a provider that hangs or is down delays nobody else's tasks. */
export class Lane {
  readonly #source: ConnectedSource
  readonly #options: LaneOptions
  readonly #gate: Gate
  readonly #findings: Findings
  readonly #concurrency: number
  readonly #stopping = new AbortController()
  readonly #inFlight = new Set<Promise<unknown>>()
  #passing: Promise<void> | undefined
  /** Places that tasks which have failed have coming to them. */
  #failedPlaces = 0
  /** The store cannot be asked, which was told of. */
  #isAway = false

  constructor(source: ConnectedSource, options: LaneOptions) {
    const { provider, name } = source
    const { log, breakerPauseMs = BREAKER_PAUSE_MS, monotonicMs = () => performance.now() } = options
    const { concurrency = DEFAULT_CONCURRENCY, pollsPerSecond = DEFAULT_POLLS_PER_SECOND } = provider.api?.tasks ?? {}
    this.#source = source
    this.#options = options
    this.#concurrency = concurrency
    this.#findings = new Findings(name, log)
    this.#gate = new Gate({
      perSecond: pollsPerSecond,
      pauseMs: breakerPauseMs,
      monotonicMs,
      stopping: this.#stopping.signal,
      onChange: (state) => {
        if (state === 'open')
          log.warn({ source: name, pause_ms: breakerPauseMs }, 'the provider is in trouble: polls pause')
        if (state === 'closed') log.info({ source: name }, 'the provider answers again: polls go on')
      },
    })
  }

  /** Null: there is nobody to ask. */
  breaker = (): BreakerState | null => (askable(this.#source) === undefined ? null : this.#gate.state())

  /** How long whoever asks now would wait for his turn. */
  waitMs = (): number => this.#gate.waitMs()

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

  /** Asks for one leased task now: its owner wants to know. False: it was not asked for, since the circuit is open. */
  handleNow(task: LeasedTask): Promise<boolean> {
    return this.#handle(task)
  }

  async #pass(): Promise<void> {
    try {
      while (!this.#stopping.signal.aborted) {
        const free = this.#concurrency - this.#inFlight.size
        const isShort = askable(this.#source) !== undefined && this.#gate.isShort()
        const tasks = free === 0 ? [] : await this.#claim(free, isShort)
        this.#isAway = false
        for (const task of tasks) this.#start(task)
        if (tasks.length > 0) continue
        if (this.#inFlight.size > 0) await Promise.race(this.#inFlight)
        else if (isShort) await this.#gate.turn(this.#gate.waitMs())
        else return
      }
    } catch (error) {
      const { name: source } = this.#source
      if (!this.#stopping.signal.aborted && !this.#isAway)
        this.#options.log.warn({ source, error: messageOf(error) }, 'stale tasks could not be claimed')
      this.#isAway = true
    } finally {
      await Promise.all(this.#inFlight)
    }
  }

  /**
   * No more than can be asked for soon; those past their deadline need nobody's answer. First come tasks that have not failed:
   * theirs is the call that tells whether a provider in trouble is back. Those that have failed have a share all the same.
   */
  async #claim(free: number, isShort: boolean): Promise<readonly LeasedTask[]> {
    const { store, leaseMs = POLL_LEASE_MS } = this.#options
    const staleLimit = askable(this.#source) === undefined ? 0 : this.#gate.lets(free)
    const expiredLimit = staleLimit > 0 ? staleLimit : isShort ? 0 : free
    const failedPlaces = this.#gate.state() === 'closed' ? Math.min(staleLimit, Math.floor(this.#failedPlaces)) : 0
    const { name: source } = this.#source
    const tasks = await store.claimTasks({ source, staleLimit, failedPlaces, expiredLimit, leaseMs })
    const sound = tasks.filter(({ failures }) => failures === 0)
    const failed = tasks.filter(({ failures }) => failures > 0)
    const earned = this.#failedPlaces + FAILED_SHARE * sound.length - failed.length
    this.#failedPlaces = Math.min(Math.max(1, FAILED_SHARE * this.#concurrency), Math.max(0, earned))
    return [...sound, ...failed]
  }

  #start(task: LeasedTask): void {
    const handling = this.#handle(task).finally(() => this.#inFlight.delete(handling))
    this.#inFlight.add(handling)
  }

  /** Never rejects. False: the provider was not called, though it should have been. */
  async #handle(task: LeasedTask): Promise<boolean> {
    const { clock, log } = this.#options
    try {
      if (clock() >= task.expiresAtMs) return await this.#expire(task)
      return await (task.id === undefined ? this.#submit(task) : this.#poll({ ...task, id: task.id }))
    } catch (error) {
      // Its lease runs out, and it is due again.
      log.warn(
        { source: task.source, task: task.id ?? task.uid, error: messageOf(error) },
        'a stale task was not settled',
      )
      return true
    }
  }

  async #submit(task: Submitting): Promise<boolean> {
    const { submitter } = this.#options
    const again = () => submitter.again(this.#source, task, this.#stopping.signal)
    const submitted = await this.#gate.call(again, troubleOfSubmission)
    return submitted === undefined ? this.#letGo(task) : true
  }

  async #poll(task: Pending): Promise<boolean> {
    const { clock, store, random, pollIntervalMs, telemetry } = this.#options
    using hold = new DisposableStack()
    const asked = await this.#ask(task, hold)
    if (asked === undefined) return this.#letGo(task)
    const finding = this.#findings.of(task, asked)
    if (asked.outcome === 'terminal') return this.#recover(task, asked)
    const trouble = troubleOfAnswer(asked)
    telemetry.polled(task.source, asked.outcome)
    const delayMs = pollDelayMs(
      {
        ageMs: clock() - task.createdAtMs,
        failures: trouble === undefined ? 0 : task.failures + 1,
        pollIntervalMs,
        retryAfterMs: trouble?.retryAfterMs,
      },
      random,
    )
    const said =
      'error' in asked
        ? { error: asked.error }
        : { providerStatus: asked.providerStatus, ...(finding && { error: finding }) }
    await store.postpone([{ uid: task.uid, lease: task.lease, dueAtMs: clock() + delayMs, asked: said }])
    return true
  }

  /** It was not asked for: it is due as before. */
  async #letGo({ uid, lease }: LeasedTask): Promise<false> {
    await this.#options.store.postpone([{ uid, lease, dueAtMs: this.#options.clock() }])
    return false
  }

  /** Undefined: it was not asked, because the circuit is open or the service stops. */
  async #ask(task: Pending, hold: DisposableStack): Promise<Asked | undefined> {
    const access = askable(this.#source)
    if (access === undefined) return undefined
    const { signal } = this.#stopping
    const call: CallProvider = async (...args) => {
      const result = await access.call(...args)
      if (result.ok) this.#gate.read(result.body.length)
      return result
    }
    const { clock: nowMs, readers, reader } = this.#options
    const reading = { reader, ...(readers !== undefined && { readers }) }
    const question = { source: this.#source, task, ...reading, call, nowMs, signal, hold }
    const asked = await this.#gate.call(() => ask(question), troubleOfAnswer)
    return signal.aborted && asked !== undefined && 'error' in asked ? undefined : asked
  }

  async #recover(task: Pending, { answer }: Extract<Asked, { outcome: 'terminal' }>): Promise<true> {
    const { pollAnswers, telemetry } = this.#options
    const outcome = await pollAnswers.keepAnswer(this.#source, task, answer)
    const kept = answer.truncated === undefined ? 'terminal' : 'truncated'
    telemetry.polled(task.source, outcome === 'kept' ? kept : 'late')
    return true
  }

  /**
   * At its deadline a stale task is asked for a last time, where somebody can be: a service that was down for long must not
   * give up what had ended meanwhile.
   */
  async #expire(task: LeasedTask): Promise<boolean> {
    const { pollAnswers, telemetry, clock } = this.#options
    using hold = new DisposableStack()
    const stale = task.id !== undefined && clock() >= task.staleAtMs ? { ...task, id: task.id } : undefined
    const asked = stale !== undefined && this.#gate.lets(1) > 0 ? await this.#ask(stale, hold) : undefined
    if (this.#stopping.signal.aborted) return false
    const finding = asked && this.#findings.of(task, asked)
    if (stale !== undefined && asked?.outcome === 'terminal') return this.#recover(stale, asked)
    if (asked !== undefined) telemetry.polled(task.source, asked.outcome)
    const otherwise = task.lastError ?? whyNotAsked(this.#source, stale !== undefined)
    await pollAnswers.keepExpiry(this.#source, task, lastKnown(asked, finding, otherwise))
    return true
  }
}

/** Of a task that nobody was asked for at its deadline. */
function whyNotAsked(taskSource: ConnectedSource, isStale: boolean): string {
  if (askable(taskSource) === undefined) return `its provider was not asked: ${whyUnaskable(taskSource)}`
  return isStale
    ? 'its provider was in trouble at its deadline, and was not asked'
    : 'it was not stale at its deadline, and its provider was not asked'
}

/** What a task that has expired tells of its provider. `otherwise`: of one that was not asked. */
function lastKnown(asked: Asked | undefined, finding: string | undefined, otherwise: string): LastKnown {
  if (asked === undefined) return { error: otherwise }
  if ('error' in asked) return { error: asked.error }
  if (!('providerStatus' in asked)) return {}
  return {
    providerStatus: asked.providerStatus,
    error: finding ?? `at its deadline the provider said ${JSON.stringify(asked.providerStatus)}`,
  }
}

const troubleOfAnswer = (asked: Asked) => ('error' in asked ? asked : undefined)
const troubleOfSubmission = (submitted: Submitted) => (submitted.outcome === 'unknown' ? submitted.trouble : undefined)
