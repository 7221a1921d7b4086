import { AttemptQueue, type PoolAttempt } from './attempts.ts'
import type { HandlerProcess } from './handler-process.ts'
import type { ProcessSupervisor } from './process-supervisor.ts'

/** Isolated processes at once: in all, and by how attempts share them. */
const MAX_PROCESSES = 8
const MAX_BY_SHARING = { few: 6, alone: 4 } as const
/** Wait for another process after one that could not load; doubles up to the cap. */
const RESTART_BASE_MS = 100
const RESTART_CAP_MS = 10_000
/** Attempts that share a process. */
const FEW = 8
/** Processes beyond the number that the attempts need, so that those of different handlers are apart from each other. */
const EXTRA_PROCESSES = 2

type Sharing = 'few' | 'alone'

/**
 * Attempts that were lost with a process (each may have been the one that ended it), and deliveries that must run alone. They
 * run isolated from all others: a few in a process, those of one handler together where possible; or one alone, if it was lost
 * twice. Those that are likely innocent go first.
 */
export class IsolatedAttempts {
  readonly #supervisor: ProcessSupervisor
  readonly #mayStart: (handler: string) => boolean
  readonly #start: (process: HandlerProcess, attempt: PoolAttempt) => void
  readonly #queue = new AttemptQueue()
  /** Processes in a row that could not load, and when another one may be opened. */
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

  /** Attempts that wait. */
  get size(): number {
    return this.#queue.size
  }

  /** Removes and returns the waiting attempts that `accepts` says yes to. */
  take = (accepts: (attempt: PoolAttempt) => boolean): readonly PoolAttempt[] => this.#queue.take(accepts)

  /** How many more attempts could run alone. */
  get freeAlone(): number {
    const waiting = this.#queue.count(({ sharing }) => sharing === 'alone')
    return Math.max(0, MAX_BY_SHARING.alone - this.#processes('alone').filter(({ isIdle }) => !isIdle).length - waiting)
  }

  /** Starts the attempts that have a process, and opens processes for others as far as the limits allow. */
  fill(): void {
    for (const sharing of ['few', 'alone'] as const) this.#fill(sharing)
  }

  /** A process could load. */
  loaded(): void {
    this.#failures = 0
    this.#mayOpenAtMs = 0
  }

  /** A process could not load: the next one is opened later. Several that fail at once count as one. */
  failedToLoad(): void {
    const nowMs = performance.now()
    if (nowMs < this.#mayOpenAtMs) return
    this.#mayOpenAtMs = nowMs + Math.min(RESTART_CAP_MS, RESTART_BASE_MS * 2 ** ++this.#failures)
  }

  #fill(sharing: Sharing): void {
    const isTurn = (attempt: PoolAttempt): boolean =>
      attempt.sharing === sharing && (sharing === 'few' || this.#mayStart(attempt.work.handler))
    const counts = this.#queue.countByHandler(isTurn)
    this.#releaseIdle(sharing, counts.length > 0)
    if (counts.length === 0) return
    const share = sharing === 'few' ? FEW : 1
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
