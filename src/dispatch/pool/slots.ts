import type { HandlerRegistration } from '../../domain/handler.ts'
import type { HandlerProcess } from './handler-process.ts'
import type { Processes } from './processes.ts'

/** Wait after a process that failed before the next; doubles up to the cap. */
const RESTART_BASE_MS = 100
const RESTART_CAP_MS = 10_000

/** A lasting place for a process in which many attempts run at once. */
export interface Slot {
  readonly group: 'ordinary' | 'troubled'
  /** Processes in a row that could not load, or (of handlers in trouble) ended before any attempt in them did. */
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

  /** Attempts in them at once. */
  get size(): number {
    return this.#slots.length * this.#concurrency
  }

  /** Attempts that could start now. */
  get room(): number {
    let room = 0
    for (const slot of this.#slots) room += this.#roomIn(slot)
    return room
  }

  get isOpen(): boolean {
    return this.#slots.some((slot) => this.#processes.inSlot(slot) !== undefined)
  }

  /** Starts processes at the priority of acknowledgements: while the service starts, everything waits for these. */
  async start(): Promise<readonly HandlerRegistration[]> {
    const [registrations] = await Promise.all(
      this.#slots.map((slot) => this.#processes.open({ kind: 'slot', slot }, true).ready),
    )
    return registrations ?? []
  }

  /** Opens those that have no process, but for those that wait for their next. */
  open(): void {
    for (const slot of this.#slots)
      if (slot.failures === 0 && this.#processes.inSlot(slot) === undefined) this.reopen(slot)
  }

  /** The process in it has ended: another takes its place. */
  lost(slot: Slot, process: HandlerProcess): void {
    const hasFailed = !process.isReady || (slot.group === 'troubled' && process.answered === 0)
    slot.failures = hasFailed ? slot.failures + 1 : 0
    this.reopen(slot)
  }

  /** At once, or a while after a process that failed. */
  reopen(slot: Slot): void {
    const delayMs = slot.failures === 0 ? 0 : Math.min(RESTART_CAP_MS, RESTART_BASE_MS * 2 ** slot.failures)
    if (delayMs === 0) this.#processes.open({ kind: 'slot', slot })
    else setTimeout(() => this.#openIfEmpty(slot), delayMs).unref()
  }

  /** Gives back the processes of those in which nothing runs. */
  closeIdle(): void {
    for (const slot of this.#slots) {
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
