import type { AttemptResult, Work } from '../../domain/delivery.ts'
import type { JobProgress } from '../ipc/job-progress.ts'

/**
 * How often an attempt may run before it counts as lost: first it shares a process with many others, then with few, then it
 * runs alone.
 */
const RUNS_PER_ATTEMPT = 3
/**
 * How much longer a lease lasts than the runs that it covers: time to kill a stuck process, to load another one and to settle.
 */
const LEASE_MARGIN_MS = 60_000
/** The part of the margin that is kept for settling. */
const SETTLING_MS = 10_000

/** A lease lasts for all runs of an attempt, each up to its deadline. */
export const leaseMs = (timeoutMs: number): number => RUNS_PER_ATTEMPT * timeoutMs + LEASE_MARGIN_MS

/** How long after its claim an attempt may start its last run, so that its lease still covers the run. */
export const latestStartMs = (timeoutMs: number): number => leaseMs(timeoutMs) - timeoutMs - SETTLING_MS

/** An attempt on its way through the pool; `resolve` is called exactly once. */
export interface PoolAttempt {
  readonly work: Work
  /** How many others it may share a process with. Each time a process ends with this attempt in it, the number gets smaller. */
  readonly sharing: 'many' | 'few' | 'alone'
  /** The deadline of each of its runs. */
  readonly timeoutMs: number
  /**
   * The latest time at which the attempt may start, by `performance.now`. If it started later, its lease would end while it
   * runs.
   */
  readonly startByMs: number
  readonly resolve: (result: AttemptResult) => void
}

/** Ends an attempt whose process is gone, with the outcome `process_lost`. */
export function resolveLost(
  { resolve }: PoolAttempt,
  startedAtMs: number,
  error: string,
  stack: readonly string[] = [],
): void {
  resolve({
    outcome: 'process_lost',
    error,
    ...(stack.length > 0 && { detail: { name: 'ProcessLost', message: error, stack } }),
    startedAtMs,
    durationMs: Date.now() - startedAtMs,
  })
}

/**
 * Releases the lease of an attempt that waited too long for a process. The attempt does not count, and a later claim takes its
 * delivery again.
 */
export function releaseAttempt({ sharing, resolve }: PoolAttempt): void {
  const error = 'no handler process had room for the attempt while its lease lasted'
  resolve({ outcome: 'released', error, isolate: sharing !== 'many', startedAtMs: Date.now(), durationMs: 0 })
}

/** Attempts that wait for a process, in order. */
export class AttemptQueue {
  #attempts: readonly PoolAttempt[] = []

  get size(): number {
    return this.#attempts.length
  }

  add(attempt: PoolAttempt): void {
    this.#attempts = [...this.#attempts, attempt]
  }

  /** Adds attempts that have waited before; they go first. */
  addFront(attempts: readonly PoolAttempt[]): void {
    if (attempts.length > 0) this.#attempts = [...attempts, ...this.#attempts]
  }

  /** The number of matching attempts of each handler, in no order; handlers without any are left out. */
  countByHandler(matches: (attempt: PoolAttempt) => boolean): readonly number[] {
    const byHandler = Map.groupBy(this.#attempts.filter(matches), ({ work }) => work.handler)
    return [...byHandler.values()].map(({ length }) => length)
  }

  count = (matches: (attempt: PoolAttempt) => boolean): number => this.#attempts.filter(matches).length

  /** Calls `accepts` with each attempt in order; removes and returns the attempts that it accepts. */
  take(accepts: (attempt: PoolAttempt) => boolean): readonly PoolAttempt[] {
    if (this.#attempts.length === 0) return []
    const accepted = new Set(this.#attempts.filter(accepts))
    this.#attempts = this.#attempts.filter((attempt) => !accepted.has(attempt))
    return [...accepted]
  }
}

/** An attempt that the service has sent to a process and that the process has not answered. */
export interface InFlightAttempt {
  readonly attempt: PoolAttempt
  /** Since the epoch. */
  readonly sentAtMs: number
  /** `sentAtMs` and the deadline, by the monotonic clock. */
  readonly sinceMs: number
  readonly untilMs: number
}

/**
 * The attempts that the service has sent to one process and that the process has not answered, in the order in which the
 * process starts them.
 */
export class InFlightAttempts {
  readonly #progress: JobProgress
  readonly #inFlight = new Map<number, InFlightAttempt>()
  #nextKey = 0
  /** The last attempt that had started when the process answered a ping: starting it has not blocked the process. */
  #clearedKey = -1

  constructor(progress: JobProgress) {
    this.#progress = progress
  }

  get size(): number {
    return this.#inFlight.size
  }

  get first(): InFlightAttempt | undefined {
    const [first] = this.#inFlight.values()
    return first
  }

  /** Handlers may have deadlines of different lengths, so the attempt that was sent first need not be the one whose deadline is first. */
  get firstDeadlineMs(): number | undefined {
    let first: number | undefined
    for (const { untilMs } of this.#inFlight.values()) if (first === undefined || untilMs < first) first = untilMs
    return first
  }

  /** Returns the attempt's key. */
  add(inFlight: InFlightAttempt): number {
    const key = this.#nextKey++
    this.#inFlight.set(key, inFlight)
    return key
  }

  take(key: number): InFlightAttempt | undefined {
    const inFlight = this.#inFlight.get(key)
    this.#inFlight.delete(key)
    return inFlight
  }

  /** The key of the attempt that the process started last. */
  lastStarted = (): number => this.#progress.started()

  /** Says that the process has answered a ping since it started the attempt with this key. */
  clear(key: number): void {
    this.#clearedKey = key
  }

  /** Whether an attempt of this handler is among them. */
  has = (handler: string): boolean => this.#inFlight.values().some(({ attempt }) => attempt.work.handler === handler)

  /**
   * The attempt that most likely blocks or has ended the process: the one that started last. Undefined if the process has
   * answered a ping since, or if the progress file names a job that the service never sent.
   */
  suspect(): InFlightAttempt | undefined {
    const last = this.lastStarted()
    const isTelling = last > this.#clearedKey && last < this.#nextKey
    return isTelling ? [...this.#inFlight].findLast(([key]) => key <= last)?.[1] : undefined
  }

  /** Removes and returns the attempts that have not started. The process will not start them. */
  revoke(): readonly PoolAttempt[] {
    const last = this.#progress.revoke()
    return this.#takeAfter(last)
  }

  /** Lets the process start the attempts that it is sent from now on. */
  restore(): void {
    this.#progress.restore(this.#nextKey)
  }

  /** To be called when the process is gone. Returns all its attempts, by whether they had started. */
  close(): {
    readonly started: readonly InFlightAttempt[]
    readonly notStarted: readonly PoolAttempt[]
    readonly suspect: InFlightAttempt | undefined
  } {
    const suspect = this.suspect()
    const notStarted = this.#takeAfter(this.lastStarted())
    const started = [...this.#inFlight.values()]
    this.#inFlight.clear()
    this.#progress.close()
    return { started, notStarted, suspect }
  }

  #takeAfter(last: number): readonly PoolAttempt[] {
    const notStarted = [...this.#inFlight].filter(([key]) => key > last)
    for (const [key] of notStarted) this.#inFlight.delete(key)
    return notStarted.map(([, { attempt }]) => attempt)
  }
}
