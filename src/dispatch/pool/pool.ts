import { availableParallelism } from 'node:os'
import type { AttemptResult, Work } from '../../domain/delivery.ts'
import type { HandlerDefinition } from '../../domain/handler.ts'
import { AttemptQueue, latestStartMs, type PoolAttempt, releaseAttempt, resolveLost } from './attempts.ts'
import { attributeCrash, BLOCKED_WHILE_IDLE, ExitLog, type ProcessExit, SERVICE_STOPPED } from './crash-attribution.ts'
import type { HandlerProcess } from './handler-process.ts'
import { IsolatedAttempts } from './isolated-attempts.ts'
import { type Placement, ProcessSupervisor, type SupervisorOptions } from './process-supervisor.ts'
import { extraCapacity, type FreeCapacity, type ProcessSlot, SharedProcesses } from './shared-processes.ts'
import { UnstableHandlers } from './unstable-handlers.ts'
import { type Pace, Watchdog, WatchdogTimer, type WatchScope } from './watchdog.ts'

/** A process of unstable handlers runs only this part of the attempts at once: a crash then loses fewer attempts. */
const UNSTABLE_PART = 0.5
/** Most passes of the watchdog skip a process whose first attempt has run for less than this: most attempts end sooner. */
const YOUNG_MS = 50
/** How many spare processes are started after a crash, because a crash seldom comes alone. */
const SPARES_AFTER_CRASH = 2
/** How long a replaced process may stay blocked while no attempt runs in it. */
const MAX_IDLE_BLOCKED_MS = 1_000
/** A blocked replaced process gets the lowest priority after this time; at once, if so many could use every processor. */
const DEPRIORITIZE_AFTER_MS = 1_000

export interface PoolOptions extends SupervisorOptions {
  readonly processes: number
  /** Attempts in each process at once. */
  readonly concurrency: number
  /** The deadline of attempts that are run without another one. */
  readonly timeoutMs: number
}

/**
 * The handler processes, and which attempt runs in which.
 *
 * ```
 *            blocked, or full of overdue handlers: replaced at once
 *   shared ────────────────────────────────────────────────────────→ replaced ── answers again, and is idle ──→ spare
 *     │                                                                  │                                        │
 *     │ ends, or is killed                                               │ is killed at the deadline              │ is needed
 *     ↓                                                                  ↓                                        ↓
 *   its attempts become isolated: few share a process; the suspect, and attempts that are lost again, run alone
 * ```
 *
 * A blocked isolated process is replaced, too. A handler with several incidents gets shared processes apart from those of the
 * stable handlers (`UnstableHandlers`), so that its crashes end attempts of such handlers only.
 */
export class HandlerPool {
  /** Called whenever capacity may have become free. */
  onCapacity: () => void = () => {}
  /** How many attempts all processes together may run beyond the configured number. */
  readonly extra: number

  readonly #options: PoolOptions
  readonly #supervisor: ProcessSupervisor
  readonly #watchdog: Watchdog
  readonly #unstable: UnstableHandlers
  readonly #exitLog: ExitLog
  readonly #shared: Record<ProcessSlot['group'], SharedProcesses>
  readonly #isolated: IsolatedAttempts
  readonly #timer = new WatchdogTimer((nowMs, scope) => this.#check(nowMs, scope))
  /** Attempts that wait for a shared process. */
  readonly #waiting = new AttemptQueue()
  #isClosed = false

  constructor(options: PoolOptions) {
    this.#options = options
    const { processes, concurrency } = options
    this.extra = processes * extraCapacity(concurrency)
    this.#watchdog = new Watchdog(options.memoryMb)
    this.#unstable = new UnstableHandlers(options.log)
    this.#exitLog = new ExitLog(options.log, this.isUnstable)
    this.#supervisor = new ProcessSupervisor(options, {
      onReady: () => this.#onReady(),
      onResults: (process, placement, refused) => this.#onResults(process, placement, refused),
      onExit: (process, placement, exit) => this.#onExit(process, placement, exit),
    })
    const unstableAtOnce = Math.ceil(concurrency * UNSTABLE_PART)
    this.#shared = {
      stable: new SharedProcesses(this.#supervisor, 'stable', processes, concurrency + extraCapacity(concurrency)),
      unstable: new SharedProcesses(this.#supervisor, 'unstable', processes, unstableAtOnce),
    }
    this.#isolated = new IsolatedAttempts(
      this.#supervisor,
      (handler) => this.#unstable.pausedUntilMs(handler) <= performance.now(),
      (process, attempt) => this.#start(process, attempt),
    )
  }

  /** Starts the processes and returns what the handler modules registered. Rejects with `UnloadableError`. */
  async start(wait: 'all' | 'first' = 'all'): Promise<readonly HandlerDefinition[]> {
    const handlers = await this.#shared.stable.start(wait)
    this.#watchdog.assertModulesFit([...this.#supervisor.all.keys()])
    return handlers
  }

  free(): FreeCapacity {
    return {
      stable: this.freeStable,
      unstable: Math.max(0, this.#shared.unstable.freeWhenOpen - this.#waitingFor('unstable')),
      isolated: this.#isolated.freeAlone,
    }
  }

  /** The `stable` number of `free()` alone, because the dispatcher reads it for each event. */
  get freeStable(): number {
    return Math.max(0, this.#shared.stable.free - this.#waitingFor('stable'))
  }

  isUnstable = (handler: string): boolean => this.#unstable.isUnstable(handler)

  /** False while a handler holds too many blocked processes. */
  mayStart = (handler: string): boolean => this.#supervisor.mayBlockMore(handler)

  /** Runs one attempt in a process. Never rejects: a lost process is a result. */
  run(work: Work, timeoutMs = this.#options.timeoutMs): Promise<AttemptResult> {
    const { promise, resolve } = Promise.withResolvers<AttemptResult>()
    const attempt: PoolAttempt = {
      work,
      sharing: work.isolated ? 'alone' : 'many',
      timeoutMs,
      startByMs: performance.now() + latestStartMs(timeoutMs),
      resolve: (result) => {
        if (result.outcome !== 'process_lost' && result.outcome !== 'released') this.#unstable.survived(work.handler)
        resolve(result)
      },
    }
    if (this.#isClosed) resolveLost(attempt, Date.now(), SERVICE_STOPPED)
    else if (work.isolated) this.#isolated.add(attempt)
    else if (this.#waiting.size > 0 || !this.#startShared(attempt)) this.#waiting.add(attempt)
    if (this.#waiting.size + this.#isolated.size > 0) this.#fill()
    else this.#timer.soon()
    return promise
  }

  /** Aborts the signals of all running handlers, because the service stops. */
  abort(): void {
    for (const process of this.#supervisor.all.keys()) process.abortAll()
  }

  /** Ends all processes. The attempts that still run or wait are lost. Idempotent. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#timer.stop()
    const all = [...this.#waiting.take(() => true), ...this.#isolated.take(() => true)]
    for (const attempt of all) resolveLost(attempt, Date.now(), SERVICE_STOPPED)
    await this.#supervisor.close()
  }

  /** Queues attempts again. Those that may share a process with many go before all that wait for one. */
  #requeue(attempts: readonly PoolAttempt[]): void {
    this.#waiting.addFront(attempts.filter(({ sharing }) => sharing === 'many'))
    for (const attempt of attempts) if (attempt.sharing !== 'many') this.#isolated.add(attempt)
  }

  /** Starts the waiting attempts for which a process has room. */
  #fill(): void {
    if (this.#isClosed) return
    this.#waiting.take((attempt) => !this.#unstable.hasIncidents(attempt.work.handler) && this.#startShared(attempt))
    this.#waiting.take((attempt) => this.#startShared(attempt))
    this.#isolated.fill()
    this.#timer.soon()
  }

  /** Returns false if no process has room yet. */
  #startShared(attempt: PoolAttempt): boolean {
    const { handler } = attempt.work
    const group = this.#groupOf(handler)
    if (group === 'unstable' && !this.mayStart(handler)) return false
    if (group === 'unstable') this.#shared.unstable.open()
    const process = this.#shared[group].leastLoaded()
    if (process === undefined) return false
    this.#start(process, attempt)
    return true
  }

  #groupOf = (handler: string): ProcessSlot['group'] => (this.#unstable.isUnstable(handler) ? 'unstable' : 'stable')

  #waitingFor = (group: ProcessSlot['group']): number =>
    this.#waiting.count(({ work }) => this.#groupOf(work.handler) === group)

  #start(process: HandlerProcess, attempt: PoolAttempt): void {
    process.run(attempt)
  }

  #onReady(): void {
    this.#isolated.loaded()
    this.#offerCapacity()
  }

  #onResults(process: HandlerProcess, placement: Placement, refused: readonly PoolAttempt[]): void {
    if (this.#isClosed) {
      for (const attempt of refused) resolveLost(attempt, Date.now(), SERVICE_STOPPED)
      return
    }
    this.#requeue(refused)
    const { concurrency } = this.#options
    if (placement.kind === 'shared' && process.overdue > 0 && process.overdue * 2 >= concurrency)
      this.#replace(process, placement)
    if (process.isIdle && this.#supervisor.all.get(process)?.kind === 'replaced')
      this.#supervisor.releaseOrKill(process)
    this.#offerCapacity()
  }

  /** Opens another process in the place of this one, which may finish the attempts that it has started. */
  #replace(process: HandlerProcess, placement: Placement, handler?: string): void {
    this.#supervisor.place(process, { kind: 'replaced', sinceMs: performance.now(), handler })
    if (placement.kind === 'shared') this.#shared[placement.slot.group].replace(placement.slot, process)
    this.#supervisor.startSpares(this.#supervisor.placedAs('replaced').length)
  }

  #onExit(process: HandlerProcess, placement: Placement, exit: ProcessExit): void {
    if (this.#isClosed) {
      for (const { attempt, sentAtMs } of exit.started) resolveLost(attempt, sentAtMs, SERVICE_STOPPED)
      for (const attempt of exit.notStarted) resolveLost(attempt, Date.now(), SERVICE_STOPPED)
      return
    }
    if (!process.isReady) this.#onLoadFailure(exit.reason)
    const { culprit, rerun, suspectHandler } = attributeCrash(exit)
    const isFirstIncident = suspectHandler !== undefined && !this.#unstable.hasIncidents(suspectHandler)
    if (culprit !== undefined) resolveLost(culprit.attempt, culprit.sentAtMs, exit.reason, exit.stack)
    this.#requeue(rerun)
    if (process.isReady) this.#exitLog.write(exit, rerun.length)
    if (suspectHandler !== undefined) this.#unstable.crashed(suspectHandler, performance.now(), exit.reason)
    if (placement.kind === 'shared')
      this.#shared[placement.slot.group].exited(placement.slot, process, exit, isFirstIncident)
    if (exit.started.length > 0) this.#supervisor.startSpares(SPARES_AFTER_CRASH)
    this.#offerCapacity()
  }

  #onLoadFailure(reason: string): void {
    this.#isolated.failedToLoad()
    this.#options.log.error({ error: reason }, 'a handler process could not start')
  }

  #offerCapacity(): void {
    this.#fill()
    this.onCapacity()
  }

  /** One pass of the watchdog. */
  #check(nowMs: number, scope: WatchScope): Pace {
    let pace: Pace = this.#waiting.size + this.#isolated.size > 0 ? 'busy' : 'idle'
    for (const [process, placement] of this.#supervisor.all) {
      const isBusy = !process.isIdle || placement.kind === 'replaced'
      if (isBusy && pace === 'idle') pace = 'busy'
      const isAtWork = process.first !== undefined && nowMs - process.first.sinceMs > YOUNG_MS
      const isDue = scope === 'all' || placement.kind === 'replaced' || isAtWork
      if (process.isReady && isDue && !this.#isHealthy(process, placement, nowMs)) pace = 'alert'
      const reason = scope === 'memory' ? this.#watchdog.overMemoryLimit(process) : undefined
      if (reason !== undefined) process.kill(reason)
    }
    this.#releaseLate(nowMs)
    this.#supervisor.retireIdleSpares(nowMs)
    const isAnyForgotten = this.#unstable.forget(nowMs)
    if (this.#unstable.isEmpty) this.#shared.unstable.releaseIdle()
    if (isAnyForgotten) this.#offerCapacity()
    // Attempts may have waited for the pause of their handler to end.
    else if (this.#waiting.size + this.#isolated.size > 0) this.#fill()
    return pace
  }

  /** Releases the attempts whose lease would end while they run. */
  #releaseLate(nowMs: number): void {
    const isLate = ({ startByMs }: PoolAttempt): boolean => startByMs < nowMs
    for (const attempt of [...this.#waiting.take(isLate), ...this.#isolated.take(isLate)]) releaseAttempt(attempt)
  }

  /** Checks a process and acts on what the check finds. */
  #isHealthy(process: HandlerProcess, placement: Placement, nowMs: number): boolean {
    const health = this.#watchdog.check(process, nowMs)
    const isBlocked = health.kind === 'blocked'
    if (health.kind === 'kill') process.kill(health.reason)
    else if (placement.kind === 'replaced') this.#checkReplaced(process, isBlocked, nowMs - placement.sinceMs)
    else if (isBlocked && process.isIdle && placement.kind !== 'shared') process.kill(BLOCKED_WHILE_IDLE)
    else if (isBlocked) this.#onBlocked(process, placement)
    else if (process.isBlocked && health.kind === 'healthy') {
      process.restore()
      this.#offerCapacity()
    }
    return health.kind === 'healthy'
  }

  #checkReplaced(process: HandlerProcess, isBlocked: boolean, replacedMs: number): void {
    const isCrowded = this.#supervisor.placedAs('replaced').length >= availableParallelism()
    if (!isBlocked && process.isIdle) this.#supervisor.releaseOrKill(process)
    else if (isBlocked && process.isIdle && replacedMs > MAX_IDLE_BLOCKED_MS) process.kill(BLOCKED_WHILE_IDLE)
    else if (isBlocked && replacedMs > (isCrowded ? 0 : DEPRIORITIZE_AFTER_MS)) process.deprioritize()
  }

  /** Replaces the blocked process if that is allowed. The attempts that it has not started run in other processes. */
  #onBlocked(process: HandlerProcess, placement: Placement): void {
    const handler = process.suspect()?.attempt.work.handler
    if (!process.isBlocked && handler !== undefined) this.#unstable.blocked(handler, performance.now())
    const attempts = process.revoke()
    if (this.#supervisor.canReplace()) this.#replace(process, placement, handler)
    this.#requeue(attempts)
    this.#offerCapacity()
  }
}
