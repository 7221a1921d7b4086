import type { HandlerDefinition } from '../../domain/handler.ts'
import type { HandlerProcess } from './handler-process.ts'
import type { Processes } from './processes.ts'
import type { Loss } from './run.ts'

/** Wait for the next process after so many in a row that failed; doubles up to the cap, which is low where handlers are in trouble. */
const FREE_FAILURES = 1
const RESTART_BASE_MS = 100
const RESTART_CAPS_MS = { ordinary: 10_000, troubled: 1_000 } as const

/** A lasting place for a process in which many attempts run at once. */
export interface Slot {
  readonly group: 'ordinary' | 'troubled'
  /** Processes in a row that failed: they could not load, or nothing came of them. */
  failures: number
}

/** Places of one group, and the room in them. */
export class Slots {
  readonly #processes: Processes
  readonly #concurrency: number
  readonly #slots: readonly Slot[]

  /** `concurrency`: attempts in each process at once, the extra ones included. */
  constructor(processes: Processes, group: Slot['group'], count: number, concurrency: number) {
    this.#processes = processes
    this.#concurrency = concurrency
    this.#slots = Array.from({ length: count }, () => ({ group, failures: 0 }))
  }

  /** Attempts that could start now. */
  get room(): number {
    let room = 0
    for (const slot of this.#slots) room += this.#roomIn(slot)
    return room
  }

  /** The same if those were open that can be. */
  get roomWhenOpen(): number {
    let room = 0
    for (const slot of this.#slots) {
      const isClosed = slot.failures <= FREE_FAILURES && this.#processes.inSlot(slot) === undefined
      room += isClosed ? this.#concurrency : this.#roomIn(slot)
    }
    return room
  }

  /** Starts processes at the priority of acknowledgements: while the service starts, everything waits for these. */
  async start(): Promise<readonly HandlerDefinition[]> {
    const [handlers] = await Promise.all(
      this.#slots.map((slot) => this.#processes.open({ kind: 'slot', slot }, true).ready),
    )
    return handlers ?? []
  }

  /** Opens those that have no process, but for those that wait for their next. */
  open(): void {
    for (const slot of this.#slots)
      if (slot.failures <= FREE_FAILURES && this.#processes.inSlot(slot) === undefined) this.reopen(slot)
  }

  /**
   * The process in it has ended: another takes its place. Of handlers in trouble, it has failed unless any attempt in it ended,
   * or it was the first of a handler (`isNews`).
   */
  lost(slot: Slot, process: HandlerProcess, { begun, answered }: Loss, isNews: boolean): void {
    const didNothing = slot.group === 'troubled' ? answered === 0 && !isNews : begun.length + answered === 0
    const hasFailed = !process.isReady || didNothing
    slot.failures = hasFailed ? slot.failures + 1 : 0
    this.reopen(slot)
  }

  /** Its process does not answer: another takes its place, at once where it has been of use. */
  replace(slot: Slot, process: HandlerProcess): void {
    if (process.answered > 0) slot.failures = 0
    this.reopen(slot)
  }

  /** At once, or a while after a process that failed. */
  reopen(slot: Slot): void {
    const waits = slot.failures - FREE_FAILURES
    const delayMs = waits <= 0 ? 0 : Math.min(RESTART_CAPS_MS[slot.group], RESTART_BASE_MS * 2 ** waits)
    if (delayMs === 0) this.#processes.open({ kind: 'slot', slot })
    else setTimeout(() => this.#openIfEmpty(slot), delayMs).unref()
  }

  /** Gives back the processes of those in which nothing runs; all begin anew. */
  closeIdle(): void {
    for (const slot of this.#slots) {
      slot.failures = 0
      const process = this.#processes.inSlot(slot)
      if (process?.isReady === true && process.isIdle) this.#processes.release(process)
    }
  }

  /** The process with the most room; undefined if none has any. */
  roomiest(): HandlerProcess | undefined {
    const [best] = this.#slots.toSorted((one, other) => this.#roomIn(other) - this.#roomIn(one))
    return best !== undefined && this.#roomIn(best) > 0 ? this.#processes.inSlot(best) : undefined
  }

  #openIfEmpty(slot: Slot): void {
    if (!this.#processes.isClosed && this.#processes.inSlot(slot) === undefined)
      this.#processes.open({ kind: 'slot', slot })
  }

  #roomIn(slot: Slot): number {
    const process = this.#processes.inSlot(slot)
    if (process?.isReady !== true || process.isBlocked) return 0
    return Math.max(0, this.#concurrency - process.load)
  }
}
