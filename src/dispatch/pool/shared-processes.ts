import type { HandlerDefinition } from '../../domain/handler.ts'
import type { ProcessExit } from './crash-attribution.ts'
import type { HandlerProcess } from './handler-process.ts'
import { type ProcessSupervisor, restartDelayMs } from './process-supervisor.ts'

/**
 * The extra capacity, as a part of the configured capacity. It is for handlers that get no configured capacity while other
 * handlers use all of it.
 */
const EXTRA_PART = 0.25

/** Attempts that may run at once beyond the configured number. */
export const extraCapacity = (configured: number): number => Math.ceil(configured * EXTRA_PART)

/**
 * How many attempts could start now: of stable handlers (extra capacity included), of unstable handlers, and alone in a
 * process.
 */
export interface FreeCapacity {
  readonly stable: number
  readonly unstable: number
  readonly isolated: number
}

/**
 * After at most this many failures in a row, a slot opens its next process at once. After more failures it waits; the wait
 * doubles up to the cap of its group.
 */
const FREE_FAILURES = 1
const RESTART_CAPS_MS = { stable: 10_000, unstable: 1_000 } as const

/** A lasting place for one process in which many attempts run at once. A process that ends is replaced. */
export interface ProcessSlot {
  /** The handlers that run in it. */
  readonly group: 'stable' | 'unstable'
  /** How many processes in a row have failed: they could not load, or ended before they were of use. */
  failures: number
}

/** The slots of one group: opens and replaces their processes, and knows how many attempts these can still take. */
export class SharedProcesses {
  readonly #supervisor: ProcessSupervisor
  readonly #concurrency: number
  readonly #slots: readonly ProcessSlot[]

  /** `concurrency`: attempts in each process at once, extra capacity included. */
  constructor(supervisor: ProcessSupervisor, group: ProcessSlot['group'], count: number, concurrency: number) {
    this.#supervisor = supervisor
    this.#concurrency = concurrency
    this.#slots = Array.from({ length: count }, () => ({ group, failures: 0 }))
  }

  /** Attempts that could start now. */
  get free(): number {
    let free = 0
    for (const slot of this.#slots) free += this.#freeIn(slot)
    return free
  }

  /** Attempts that could start if all slots were open that may be opened now. */
  get freeWhenOpen(): number {
    let free = 0
    for (const slot of this.#slots) {
      const isClosed = slot.failures <= FREE_FAILURES && this.#supervisor.inSlot(slot) === undefined
      free += isClosed ? this.#concurrency : this.#freeIn(slot)
    }
    return free
  }

  /**
   * Opens all slots at the priority of acknowledgements: while the service starts, everything waits for these processes. `first`:
   * waits for one of them only, and opens the others then.
   */
  async start(wait: 'all' | 'first'): Promise<readonly HandlerDefinition[]> {
    const open = (slot: ProcessSlot) => this.#supervisor.open({ kind: 'shared', slot }, true).ready
    if (wait === 'all') return (await Promise.all(this.#slots.map(open)))[0] ?? []
    const [first, ...others] = this.#slots
    const handlers = first === undefined ? [] : await open(first)
    for (const slot of others) this.#openIfEmpty(slot)
    return handlers
  }

  /** Opens the slots without a process, except for those that wait after failures. */
  open(): void {
    for (const slot of this.#slots)
      if (slot.failures <= FREE_FAILURES && this.#supervisor.inSlot(slot) === undefined) this.#reopen(slot)
  }

  /**
   * Opens another process for the slot, whose process has ended. That process counts as failed if it never loaded, or was of no
   * use: in the group `stable`, if no attempt had started in it; in the group `unstable`, if it had answered no attempt, unless
   * a handler had its first incident in it (`isFirstIncident`).
   */
  exited(
    slot: ProcessSlot,
    process: HandlerProcess,
    { started, answered }: ProcessExit,
    isFirstIncident: boolean,
  ): void {
    const wasUseless = slot.group === 'unstable' ? answered === 0 && !isFirstIncident : started.length + answered === 0
    const hasFailed = !process.isReady || wasUseless
    slot.failures = hasFailed ? slot.failures + 1 : 0
    this.#reopen(slot)
  }

  /**
   * Opens another process for the slot, whose process takes no more attempts; without a wait if that process has answered
   * attempts.
   */
  replace(slot: ProcessSlot, process: HandlerProcess): void {
    if (process.answered > 0) slot.failures = 0
    this.#reopen(slot)
  }

  /** Releases the processes in which nothing runs, and forgets all failures. */
  releaseIdle(): void {
    for (const slot of this.#slots) {
      slot.failures = 0
      const process = this.#supervisor.inSlot(slot)
      if (process?.isReady === true && process.isIdle) this.#supervisor.release(process)
    }
  }

  /** The process that can take the most attempts; undefined if none can take any. */
  leastLoaded(): HandlerProcess | undefined {
    let [best, most] = [undefined as ProcessSlot | undefined, 0]
    for (const slot of this.#slots) {
      const free = this.#freeIn(slot)
      if (free > most) [best, most] = [slot, free]
    }
    return best && this.#supervisor.inSlot(best)
  }

  /** Opens a process for the slot: at once, or after a wait if processes have failed. */
  #reopen(slot: ProcessSlot): void {
    const waits = slot.failures - FREE_FAILURES
    const delayMs = waits <= 0 ? 0 : restartDelayMs(waits, RESTART_CAPS_MS[slot.group])
    if (delayMs === 0) this.#supervisor.open({ kind: 'shared', slot })
    else setTimeout(() => this.#openIfEmpty(slot), delayMs).unref()
  }

  #openIfEmpty(slot: ProcessSlot): void {
    if (!this.#supervisor.isClosed && this.#supervisor.inSlot(slot) === undefined)
      this.#supervisor.open({ kind: 'shared', slot })
  }

  #freeIn(slot: ProcessSlot): number {
    const process = this.#supervisor.inSlot(slot)
    if (process?.isReady !== true || process.isBlocked) return 0
    return Math.max(0, this.#concurrency - process.load)
  }
}
