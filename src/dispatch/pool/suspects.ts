import type { HandlerProcess } from './handler-process.ts'
import type { Processes } from './processes.ts'
import type { Run } from './run.ts'

/** Processes at once in which suspects run; of those, in which one runs alone. */
const MAX_APART = 8
const MAX_ALONE = 4
/** Suspects that share a process. */
const FEW = 8

type Company = 'few' | 'none'

/**
 * Attempts that were lost with a process, each of which may have been its end. They run again apart from all others, a few in
 * a process, and those that were lost twice alone. Those that are likely innocent go first.
 */
export class Suspects {
  readonly #processes: Processes
  readonly #mayStart: (handler: string) => boolean
  readonly #start: (process: HandlerProcess, run: Run) => void
  #waiting: Run[] = []
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
    this.#waiting.push(run)
  }

  /** How many more could run alone. */
  get roomAlone(): number {
    const waiting = this.#waiting.filter(({ company }) => company === 'none').length
    return Math.max(0, MAX_ALONE - this.#apart('none').filter(({ isIdle }) => !isIdle).length - waiting)
  }

  /** Starts what there are processes for, and opens more as far as there may be. */
  fill(): void {
    for (const company of ['few', 'none'] as const) this.#fill(company)
  }

  /** Processes do not load at the moment. */
  pauseUntil(atMs: number): void {
    this.#mayOpenAtMs = atMs
  }

  /** Gives what has not started. */
  clear(): readonly Run[] {
    return this.#waiting.splice(0)
  }

  #fill(company: Company): void {
    const runs = this.#waiting.filter(
      (run) => run.company === company && (company === 'few' || this.#mayStart(run.work.handler)),
    )
    if (runs.length === 0) return
    const share = company === 'few' ? FEW : 1
    this.#open(company, Math.ceil(runs.length / share), share)
    const started = new Set(runs.filter((run) => this.#startOne(run, company, share)))
    this.#waiting = this.#waiting.filter((run) => !started.has(run))
  }

  #startOne(run: Run, company: Company, share: number): boolean {
    const [process] = this.#apart(company)
      .filter(({ isReady, load }) => isReady && load < share)
      .toSorted((one, other) => one.load - other.load)
    if (process !== undefined) this.#start(process, run)
    return process !== undefined
  }

  /** So many processes with room, those counted that are on their way. */
  #open(company: Company, wanted: number, share: number): void {
    if (Date.now() < this.#mayOpenAtMs) return
    const open = this.#apart(company)
    const mayOpen = Math.min(
      wanted - open.filter(({ load }) => load < share).length,
      MAX_APART - this.#processes.in('apart').length,
      company === 'none' ? MAX_ALONE - open.length : MAX_APART,
    )
    for (let opened = 0; opened < mayOpen; opened++) this.#processes.open({ kind: 'apart', company })
  }

  #apart = (company: Company): readonly HandlerProcess[] =>
    this.#processes.in('apart').flatMap(([process, place]) => (place.company === company ? [process] : []))
}
