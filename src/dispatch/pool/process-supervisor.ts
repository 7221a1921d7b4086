import { platform } from 'node:process'
import type { Logger } from 'pino'
import type { HandlerDefinition } from '../../domain/handler.ts'
import { newUid } from '../../domain/names.ts'
import type { ProcessData } from '../ipc/messages.ts'
import type { PoolAttempt } from './attempts.ts'
import { FULL_OF_OVERDUE, type ProcessExit } from './crash-attribution.ts'
import { HandlerProcess } from './handler-process.ts'
import { availableBytes } from './memory-and-cpu.ts'
import { OrphanReaper } from './process-tree.ts'
import type { ProcessSlot } from './shared-processes.ts'

/** How many replaced processes may exist at once: in all, and because of one handler. */
const MAX_REPLACED = 16
const MAX_REPLACED_BY_HANDLER = 8
/** Memory that must be free to replace a process: about that of two processes. It is checked on Linux only. */
const MIN_FREE_BYTES = 128 * 1024 * 1024
/** How many spare processes are kept ready for the next crash, and how long each is kept unused. */
const MAX_SPARES = 4
const SPARE_MS = 60_000

export interface SupervisorOptions {
  readonly data: ProcessData
  /** The environment of handlers. */
  readonly environment: NodeJS.ProcessEnv
  /** Resident size past which a process is killed. */
  readonly memoryMb: number
  readonly log: Logger
  /** Called with the number of log lines that were left out. */
  readonly onDroppedLines: (lines: number) => void
}

/** What a process is used for. Only a shared process has a lasting place, its slot. */
export type Placement =
  | { readonly kind: 'shared'; readonly slot: ProcessSlot }
  /**
   * Blocked, or full of handlers past their deadlines: another process took its slot, and the service sends it no more
   * attempts.
   */
  | { readonly kind: 'replaced'; readonly sinceMs: number; readonly handler: string | undefined }
  /** Isolated attempts run in it. */
  | { readonly kind: 'isolated'; readonly sharing: 'few' | 'alone' }
  | { readonly kind: 'spare'; readonly sinceMs: number }

interface SupervisorListener {
  /**
   * A process that was opened can be used: at the end of this turn of the event loop if it was a spare that had loaded,
   * otherwise when it has loaded.
   */
  onReady(process: HandlerProcess): void
  onResults(process: HandlerProcess, placement: Placement, refused: readonly PoolAttempt[]): void
  onExit(process: HandlerProcess, placement: Placement, exit: ProcessExit): void
}

/** The wait before the next process is opened after some that failed in a row; doubles up to the cap. */
export const restartDelayMs = (failures: number, capMs: number): number =>
  Math.min(capMs, RESTART_BASE_MS * 2 ** failures)
const RESTART_BASE_MS = 100

/** Starts and ends all handler processes, and knows the placement of each. */
export class ProcessSupervisor {
  readonly #options: SupervisorOptions
  readonly #listener: SupervisorListener
  #reaper: OrphanReaper | undefined
  readonly #treePrefix = newUid()
  readonly #placements = new Map<HandlerProcess, Placement>()
  readonly #inSlots = new Map<ProcessSlot, HandlerProcess>()
  readonly #ending = new Set<Promise<void>>()
  #firstHandlers: string | undefined
  #lastNumber = 0
  isClosed = false

  constructor(options: SupervisorOptions, listener: SupervisorListener) {
    this.#options = options
    this.#listener = listener
  }

  get all(): ReadonlyMap<HandlerProcess, Placement> {
    return this.#placements
  }

  /** The processes with one kind of placement. */
  placedAs<Kind extends Placement['kind']>(
    kind: Kind,
  ): readonly [HandlerProcess, Extract<Placement, { kind: Kind }>][] {
    return [...this.#placements].filter(
      (entry): entry is [HandlerProcess, Extract<Placement, { kind: Kind }>] => entry[1].kind === kind,
    )
  }

  inSlot = (slot: ProcessSlot): HandlerProcess | undefined => this.#inSlots.get(slot)

  /** Whether a blocked process may be replaced. */
  canReplace = (): boolean =>
    this.placedAs('replaced').length < MAX_REPLACED && (platform !== 'linux' || availableBytes() > MIN_FREE_BYTES)

  /** False while a handler holds as many blocked processes as it may. */
  mayBlockMore = (handler: string): boolean =>
    this.placedAs('replaced').filter(([, placement]) => placement.handler === handler).length < MAX_REPLACED_BY_HANDLER

  /**
   * Takes a spare process, or starts a new one; `onReady` follows. `isUrgent`: a new process loads at the priority of
   * acknowledgements.
   */
  open(placement: Placement, isUrgent = false): HandlerProcess {
    // An attempt that must be alone gets a process in which no attempt has left anything behind.
    const isAlone = placement.kind === 'isolated' && placement.sharing === 'alone'
    const spares = this.placedAs('spare').flatMap(([process]) => (isAlone && process.answered > 0 ? [] : [process]))
    const process = spares.find(({ isReady }) => isReady) ?? spares[0] ?? this.#start(isUrgent)
    this.place(process, placement)
    if (process.isReady) setImmediate(() => this.#withPlacement(process, () => this.#listener.onReady(process)))
    return process
  }

  place(process: HandlerProcess, placement: Placement): void {
    this.#remove(process)
    this.#placements.set(process, placement)
    if (placement.kind === 'shared') this.#inSlots.set(placement.slot, process)
  }

  /** Turns a process that is not needed in its place into a spare, or ends it. */
  release(process: HandlerProcess): void {
    process.restore()
    this.place(process, { kind: 'spare', sinceMs: performance.now() })
    if (this.placedAs('spare').length > MAX_SPARES || process.overdue > 0 || process.isDeprioritized)
      this.#retire(process)
  }

  /** Releases a process, or kills it if handlers in it are past their deadlines. */
  releaseOrKill(process: HandlerProcess): void {
    if (process.overdue > 0) process.kill(FULL_OF_OVERDUE)
    else this.release(process)
  }

  /** Starts spare processes until there are `wanted`, within the limit. */
  startSpares(wanted: number): void {
    for (let spares = this.placedAs('spare').length; spares < Math.min(wanted, MAX_SPARES); spares++)
      this.place(this.#start(false), { kind: 'spare', sinceMs: performance.now() })
  }

  /** Ends spares that have not been used for `SPARE_MS`. */
  retireIdleSpares(nowMs: number): void {
    for (const [process, { sinceMs }] of this.placedAs('spare')) if (nowMs - sinceMs > SPARE_MS) this.#retire(process)
  }

  /** Ends all processes. Resolves when they and all programs that they had started are gone. */
  async close(): Promise<void> {
    this.isClosed = true
    await Promise.all([...this.#placements.keys()].map((process) => process.stop()))
    await Promise.all(this.#ending)
    this.#reaper?.close()
  }

  #remove(process: HandlerProcess): void {
    const placement = this.#placements.get(process)
    if (placement?.kind === 'shared') this.#inSlots.delete(placement.slot)
    this.#placements.delete(process)
  }

  #start(isUrgent: boolean): HandlerProcess {
    const { data, environment, memoryMb, onDroppedLines } = this.#options
    const process = new HandlerProcess({
      data,
      environment,
      memoryMb,
      isUrgent,
      isExpected: (handlers) => this.#isExpected(handlers),
      treeId: `${this.#treePrefix}-${++this.#lastNumber}`,
      onDropped: onDroppedLines,
      onLines: (lines, dropped) => this.#logLines(process.pid, lines, dropped),
      onResults: (refused) =>
        this.#withPlacement(process, (placement) => this.#listener.onResults(process, placement, refused)),
      onExit: (exit) => this.#exited(process, exit),
    })
    this.#reaper ??= new OrphanReaper(this.#treePrefix, this.#options.log)
    this.#reaper.add(process.pid)
    process.ready.then(
      () => this.#withPlacement(process, () => this.#listener.onReady(process)),
      () => {},
    )
    const ended = process.gone.finally(() => this.#ending.delete(ended))
    this.#ending.add(ended)
    return process
  }

  /** Every process must register the same handlers as the first. */
  #isExpected(handlers: readonly HandlerDefinition[]): boolean {
    const json = JSON.stringify(handlers)
    this.#firstHandlers ??= json
    return json === this.#firstHandlers
  }

  #exited(process: HandlerProcess, exit: ProcessExit): void {
    this.#reaper?.delete(process.pid)
    this.#withPlacement(process, (placement) => {
      this.#remove(process)
      this.#listener.onExit(process, placement, exit)
    })
  }

  /** Ends a process without telling the listener. */
  #retire(process: HandlerProcess): void {
    this.#remove(process)
    void process.stop()
  }

  #withPlacement(process: HandlerProcess, then: (placement: Placement) => void): void {
    const placement = this.#placements.get(process)
    if (placement !== undefined) then(placement)
  }

  #logLines(pid: number, lines: readonly string[], dropped: number): void {
    if (dropped > 0) this.#options.onDroppedLines(dropped)
    for (const line of lines) this.#options.log.info({ handler_process: pid }, line)
  }
}
