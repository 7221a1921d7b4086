import { AttemptQueue, type PoolAttempt } from './attempts.ts'
import type { HandlerProcess } from './handler-process.ts'
import { type ProcessSupervisor, restartDelayMs } from './process-supervisor.ts'

/** How many isolated processes may exist: in all, and by how many attempts share one. */
const MAX_PROCESSES = 8
const MAX_BY_SHARING = { few: 6, alone: 4 } as const
/** The longest wait before another process is opened after one that could not load. */
const RESTART_CAP_MS = 10_000
/** How many attempts with `sharing: 'few'` share a process. */
const MAX_FEW = 8
/** How many more processes are opened than the attempts need, so that attempts of different handlers can run apart. */
const EXTRA_PROCESSES = 2

type Sharing = 'few' | 'alone'

/**
 * Runs the attempts that were lost with a process, any of which may have ended it, and the deliveries that must run alone. They
 * run isolated from all other attempts: few in one process, where possible those of the same handler together; or alone, if the
 * attempt was a suspect or was lost twice. Attempts that share a process go first, because they are less likely to be at fault.
 */
export class IsolatedAttempts {
  readonly #supervisor: ProcessSupervisor
  readonly #mayStart: (handler: string) => boolean
  readonly #start: (process: HandlerProcess, attempt: PoolAttempt) => void
  readonly #queue = new AttemptQueue()
  /** How many processes in a row could not load, and when another one may be opened. */
  #failures = 0
  #mayOpenAtMs = 0

  /** `mayStart`: false while the handler pauses after crashes. */
  constructor(
    supervisor: ProcessSupervisor,
    mayStart: (handler: string) => boolean,
    start: (process: HandlerProcess, attempt: PoolAttempt) => void,
  ) {
    this.#supervisor = supervisor
    this.#mayStart = mayStart
    this.#start = start
  }

  add(attempt: PoolAttempt): void {
    this.#queue.add(attempt)
  }

  /** The number of attempts that wait. */
  get size(): number {
    return this.#queue.size
  }

  /** Removes and returns the waiting attempts that `accepts` accepts. */
  take = (accepts: (attempt: PoolAttempt) => boolean): readonly PoolAttempt[] => this.#queue.take(accepts)

  /** How many more attempts could run alone. */
  get freeAlone(): number {
    const waiting = this.#queue.count(({ sharing }) => sharing === 'alone')
    return Math.max(0, MAX_BY_SHARING.alone - this.#processes('alone').filter(({ isIdle }) => !isIdle).length - waiting)
  }

  /** Starts the attempts for which a process has room, and opens processes for the others as far as the limits allow. */
  fill(): void {
    for (const sharing of ['few', 'alone'] as const) this.#fill(sharing)
  }

  /** Says that a process has loaded. */
  loaded(): void {
    this.#failures = 0
    this.#mayOpenAtMs = 0
  }

  /** Says that a process could not load: the next one is opened after a wait. Failures during that wait do not lengthen it. */
  failedToLoad(): void {
    const nowMs = performance.now()
    if (nowMs < this.#mayOpenAtMs) return
    this.#mayOpenAtMs = nowMs + restartDelayMs(++this.#failures, RESTART_CAP_MS)
  }

  #fill(sharing: Sharing): void {
    const isTurn = (attempt: PoolAttempt): boolean =>
      attempt.sharing === sharing && (sharing === 'few' || this.#mayStart(attempt.work.handler))
    const counts = this.#queue.countByHandler(isTurn)
    this.#releaseIdle(sharing, counts.length > 0)
    if (counts.length === 0) return
    const share = sharing === 'few' ? MAX_FEW : 1
    this.#open(sharing, processesFor(counts, share), share)
    this.#queue.take((attempt) => isTurn(attempt) && this.#startOne(attempt, sharing, share))
  }

  /** Releases idle processes that no attempt waits for, and those in which an attempt would not be isolated any more. */
  #releaseIdle(sharing: Sharing, isAnyWaiting: boolean): void {
    for (const process of this.#processes(sharing)) {
      const isUsed = process.overdue > 0 || (sharing === 'alone' && process.answered > 0)
      if (process.isReady && process.isIdle && (isUsed || !isAnyWaiting)) this.#supervisor.release(process)
    }
  }

  #startOne(attempt: PoolAttempt, sharing: Sharing, share: number): boolean {
    const { handler } = attempt.work
    const [process] = this.#processes(sharing)
      .filter(({ isReady, answered }) => isReady && (sharing === 'few' || answered === 0))
      .filter((process) => hasRoom(process, share))
      .toSorted((one, other) => Number(other.runs(handler)) - Number(one.runs(handler)) || one.load - other.load)
    if (process !== undefined) this.#start(process, attempt)
    return process !== undefined
  }

  /** Opens processes until `wanted` have room, counting those that are still loading. */
  #open(sharing: Sharing, wanted: number, share: number): void {
    if (performance.now() < this.#mayOpenAtMs) return
    const open = this.#processes(sharing)
    const mayOpen = Math.min(
      wanted - open.filter((process) => hasRoom(process, share)).length,
      MAX_PROCESSES - this.#supervisor.placedAs('isolated').length,
      MAX_BY_SHARING[sharing] - open.length,
    )
    for (let opened = 0; opened < mayOpen; opened++) this.#supervisor.open({ kind: 'isolated', sharing })
  }

  #processes = (sharing: Sharing): readonly HandlerProcess[] =>
    this.#supervisor
      .placedAs('isolated')
      .flatMap(([process, placement]) => (placement.sharing === sharing ? [process] : []))
}

const hasRoom = ({ isBlocked, overdue, load }: HandlerProcess, share: number): boolean =>
  !isBlocked && overdue === 0 && load < share

/** The number of processes for the given counts of attempts, one count for each handler. */
function processesFor(counts: readonly number[], share: number): number {
  const needed = Math.ceil(counts.reduce((sum, count) => sum + count, 0) / share)
  const apart = counts.reduce((sum, count) => sum + Math.ceil(count / share), 0)
  return Math.min(apart, needed + EXTRA_PROCESSES)
}
