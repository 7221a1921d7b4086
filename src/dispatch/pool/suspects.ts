import type { HandlerProcess } from './handler-process.ts'
import type { Processes } from './processes.ts'
import type { Run } from './run.ts'
import { Waiting } from './waiting.ts'

/** Processes at once in which suspects run; of those, in which a few run, and in which one runs alone. */
const MAX_APART = 8
const MAX_IN_COMPANY = { few: 6, none: 4 } as const
/** Wait for another process after one that could not load; doubles up to the cap. */
const RESTART_BASE_MS = 100
const RESTART_CAP_MS = 10_000
/** Suspects that share a process. */
const FEW = 8
/** Processes for those beyond what their number needs, so that handlers have them apart from each other. */
const EXTRA = 2

type Company = 'few' | 'none'

/**
 * Attempts that were lost with a process, each of which may have been its end. They run again apart from all others, a few in
 * a process, those of one handler together as far as may be, and those that were lost twice alone. Those that are likely
 * innocent go first.
 */
export class Suspects {
  readonly #processes: Processes
  readonly #mayStart: (handler: string) => boolean
  readonly #start: (process: HandlerProcess, run: Run) => void
  readonly #waiting = new Waiting()
  /** Processes in a row that could not load, and when another one may be tried. */
  #failures = 0
  #mayOpenAtMs = 0

  /** `mayStart`: not while the handler waits after a loss. */
  constructor(
    processes: Processes,
    mayStart: (handler: string) => boolean,
    start: (process: HandlerProcess, run: Run) => void,
  ) {
    this.#processes = processes
    this.#mayStart = mayStart
    this.#start = start
  }

  add(run: Run): void {
    this.#waiting.add(run)
  }

  get size(): number {
    return this.#waiting.size
  }

  /** Takes out those that have not begun and that it accepts. */
  take = (accepts: (run: Run) => boolean): readonly Run[] => this.#waiting.take(accepts)

  /** How many more could run alone. */
  get roomAlone(): number {
    const waiting = this.#waiting.count(({ company }) => company === 'none')
    return Math.max(0, MAX_IN_COMPANY.none - this.#apart('none').filter(({ isIdle }) => !isIdle).length - waiting)
  }

  /** Starts what there are processes for, and opens more as far as there may be. */
  fill(): void {
    for (const company of ['few', 'none'] as const) this.#fill(company)
  }

  loaded(): void {
    this.#failures = 0
    this.#mayOpenAtMs = 0
  }

  /** A process could not load: another one is tried later. Several that fail at once count as one. */
  failed(): void {
    const nowMs = performance.now()
    if (nowMs < this.#mayOpenAtMs) return
    this.#mayOpenAtMs = nowMs + Math.min(RESTART_CAP_MS, RESTART_BASE_MS * 2 ** ++this.#failures)
  }

  #fill(company: Company): void {
    const isTurn = (run: Run): boolean =>
      run.company === company && (company === 'few' || this.#mayStart(run.work.handler))
    const counts = this.#waiting.countByHandler(isTurn)
    this.#release(company, counts.length > 0)
    if (counts.length === 0) return
    const share = company === 'few' ? FEW : 1
    this.#open(company, processesFor(counts, share), share)
    this.#waiting.take((run) => isTurn(run) && this.#startOne(run, company, share))
  }

  /** Gives back those that have nothing to do, and those in which a handler has outlived its attempt or none could be alone. */
  #release(company: Company, isAnyWaiting: boolean): void {
    for (const process of this.#apart(company)) {
      const isUsed = process.overdue > 0 || (company === 'none' && process.answered > 0)
      if (process.isReady && process.isIdle && (isUsed || !isAnyWaiting)) this.#processes.release(process)
    }
  }

  #startOne(run: Run, company: Company, share: number): boolean {
    const { handler } = run.work
    const [process] = this.#apart(company)
      .filter(({ isReady, answered }) => isReady && (company === 'few' || answered === 0))
      .filter((process) => hasRoom(process, share))
      .toSorted((one, other) => Number(other.runs(handler)) - Number(one.runs(handler)) || one.load - other.load)
    if (process !== undefined) this.#start(process, run)
    return process !== undefined
  }

  /** So many processes with room, those counted that are on their way. */
  #open(company: Company, wanted: number, share: number): void {
    if (performance.now() < this.#mayOpenAtMs) return
    const open = this.#apart(company)
    const mayOpen = Math.min(
      wanted - open.filter((process) => hasRoom(process, share)).length,
      MAX_APART - this.#processes.in('apart').length,
      MAX_IN_COMPANY[company] - open.length,
    )
    for (let opened = 0; opened < mayOpen; opened++) this.#processes.open({ kind: 'apart', company })
  }

  #apart = (company: Company): readonly HandlerProcess[] =>
    this.#processes.in('apart').flatMap(([process, place]) => (place.company === company ? [process] : []))
}

const hasRoom = ({ isBlocked, overdue, load }: HandlerProcess, share: number): boolean =>
  !isBlocked && overdue === 0 && load < share

/** How many there are to be for so many attempts of each handler. */
function processesFor(counts: readonly number[], share: number): number {
  const needed = Math.ceil(counts.reduce((sum, count) => sum + count, 0) / share)
  const apart = counts.reduce((sum, count) => sum + Math.ceil(count / share), 0)
  return Math.min(apart, needed + EXTRA)
}
