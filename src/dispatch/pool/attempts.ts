import type { AttemptResult, Work } from '../../domain/delivery.ts'
import type { JobProgress } from '../ipc/job-progress.ts'

/** How often an attempt may run before it counts as lost: sharing its process with many, then with few, then alone. */
const RUNS_PER_ATTEMPT = 3
/** The time beyond the deadlines: to kill a stuck process, to load another and to settle. */
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
  /** With how many others it may share a process: the more often it was lost with one, the fewer. */
  readonly sharing: 'many' | 'few' | 'alone'
  /** The latest time to start: later, its lease would end while it runs (by `performance.now`). */
  readonly startByMs: number
  readonly resolve: (result: AttemptResult) => void
}

/** Ends an attempt whose process is gone: it counts as `process_lost`. */
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

/** Releases the lease of an attempt that waited too long for a process. It does not count, and a later claim finds it again. */
export function releaseAttempt({ sharing, resolve }: PoolAttempt): void {
  const error = 'no process had room for it while its lease held'
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

  /** Attempts that have waited before go first. */
  addFront(attempts: readonly PoolAttempt[]): void {
    if (attempts.length > 0) this.#attempts = [...attempts, ...this.#attempts]
  }

  /** The number of matching attempts of each handler, in no order; handlers without any are left out. */
  countByHandler(matches: (attempt: PoolAttempt) => boolean): readonly number[] {
    const byHandler = Map.groupBy(this.#attempts.filter(matches), ({ work }) => work.handler)
    return [...byHandler.values()].map(({ length }) => length)
  }

  count = (matches: (attempt: PoolAttempt) => boolean): number => this.#attempts.filter(matches).length

  /** Removes and returns the attempts that `accepts` says yes to, which it is asked in order. */
  take(accepts: (attempt: PoolAttempt) => boolean): readonly PoolAttempt[] {
    if (this.#attempts.length === 0) return []
    const taken = new Set(this.#attempts.filter(accepts))
    this.#attempts = this.#attempts.filter((attempt) => !taken.has(attempt))
    return [...taken]
  }
}

/** An attempt that a process has been sent and has not answered. */
export interface InFlightAttempt {
  readonly attempt: PoolAttempt
  /** Since the epoch. */
  readonly sentAtMs: number
  /** The same and the deadline, by the monotonic clock. */
  readonly sinceMs: number
  readonly untilMs: number
}

/** The attempts that one process has been sent and has not answered, in the order in which the process starts them. */
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

  /** The process has answered since it started the attempt with this key. */
  clear(key: number): void {
    this.#clearedKey = key
  }

  /** Whether an attempt of this handler is among them. */
  has = (handler: string): boolean => this.#inFlight.values().some(({ attempt }) => attempt.work.handler === handler)

  /**
   * The attempt that most likely blocks or has ended the process: the one that started last. Undefined where the process has
   * answered since, or where its progress names a job that it was never sent.
   */
  suspect(): InFlightAttempt | undefined {
    const last = this.lastStarted()
    const isTelling = last > this.#clearedKey && last < this.#nextKey
    return isTelling ? [...this.#inFlight].findLast(([key]) => key <= last)?.[1] : undefined
  }

  /** Removes and returns the attempts that have not started; the process does not start them any more. */
  revoke(): readonly PoolAttempt[] {
    const last = this.#progress.revoke()
    return this.#takeAfter(last)
  }

  /** The process may start what it is sent from now on. */
  restore(): void {
    this.#progress.restore(this.#nextKey)
  }

  /** The process is gone. Returns all its attempts, by whether they had started. */
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
    const taken = [...this.#inFlight].filter(([key]) => key > last)
    for (const [key] of taken) this.#inFlight.delete(key)
    return taken.map(([, { attempt }]) => attempt)
  }
}
