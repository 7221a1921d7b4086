import { platform } from 'node:process'
import type { Logger } from 'pino'
import type { HandlerDefinition } from '../../domain/handler.ts'
import { newUid } from '../../domain/names.ts'
import type { ProcessData } from '../protocol.ts'
import { Guard } from './guard.ts'
import { HandlerProcess } from './handler-process.ts'
import { OUTLIVED } from './loss.ts'
import type { Loss, Run } from './run.ts'
import type { Slot } from './slots.ts'
import { availableBytes } from './vitals.ts'

/** Processes at once that are blocked and have been replaced; and of those, by one handler. */
const MAX_ASIDE = 16
const MAX_ASIDE_BY_HANDLER = 8
/** Memory that has to be left for another one, about that of two processes. Only Linux tells what could be had. */
const MIN_FREE_BYTES = 128 * 1024 * 1024
/** Processes kept for the next one that is lost, and how long after there was need of them. */
const MAX_SPARES = 4
const SPARE_MS = 60_000

export interface ProcessesOptions {
  readonly data: ProcessData
  /** The environment that handlers find. */
  readonly environment: NodeJS.ProcessEnv
  /** Resident size past which a process is ended. */
  readonly memoryMb: number
  readonly log: Logger
  /** Told of log lines that were left out. */
  readonly onDroppedLines: (lines: number) => void
}

/** Where a process is. One that is in no slot comes and goes. */
export type Place =
  | { readonly kind: 'slot'; readonly slot: Slot }
  /** Blocked, or full of handlers that have outlived their deadlines: another took its slot, and it gets no more. */
  | { readonly kind: 'aside'; readonly sinceMs: number; readonly handler: string | undefined }
  /** Suspects run in it. */
  | { readonly kind: 'apart'; readonly company: 'few' | 'none' }
  | { readonly kind: 'spare'; readonly sinceMs: number }

export interface Listener {
  /** A process that was opened can be used: later, or in a moment if it was a spare one that is ready. */
  onReady(process: HandlerProcess): void
  onResults(process: HandlerProcess, place: Place, refused: readonly Run[]): void
  onGone(process: HandlerProcess, place: Place, loss: Loss): void
}

/** All handler processes that there are, and where each of them is. */
export class Processes {
  readonly #options: ProcessesOptions
  readonly #listener: Listener
  #guard: Guard | undefined
  readonly #familyPrefix = newUid()
  readonly #places = new Map<HandlerProcess, Place>()
  readonly #inSlots = new Map<Slot, HandlerProcess>()
  readonly #ending = new Set<Promise<void>>()
  #registered: string | undefined
  #lastNumber = 0
  isClosed = false

  constructor(options: ProcessesOptions, listener: Listener) {
    this.#options = options
    this.#listener = listener
  }

  get all(): ReadonlyMap<HandlerProcess, Place> {
    return this.#places
  }

  /** Those in one kind of place. */
  in<Kind extends Place['kind']>(kind: Kind): readonly [HandlerProcess, Extract<Place, { kind: Kind }>][] {
    return [...this.#places].filter(
      (entry): entry is [HandlerProcess, Extract<Place, { kind: Kind }>] => entry[1].kind === kind,
    )
  }

  inSlot = (slot: Slot): HandlerProcess | undefined => this.#inSlots.get(slot)

  /** Whether a process that is blocked may be replaced. */
  mayReplace = (): boolean =>
    this.in('aside').length < MAX_ASIDE && (platform !== 'linux' || availableBytes() > MIN_FREE_BYTES)

  mayBlockMore = (handler: string): boolean =>
    this.in('aside').filter(([, place]) => place.handler === handler).length < MAX_ASIDE_BY_HANDLER

  move(process: HandlerProcess, place: Place): void {
    this.#put(process, place)
  }

  /** A spare one, or a new one; `onReady` follows. `isHurried`: it loads at the priority of acknowledgements. */
  open(place: Place, isHurried = false): HandlerProcess {
    // What is to be alone has a process in which nothing has left anything behind.
    const isAlone = place.kind === 'apart' && place.company === 'none'
    const spares = this.in('spare').flatMap(([process]) => (isAlone && process.answered > 0 ? [] : [process]))
    const process = spares.find(({ isReady }) => isReady) ?? spares[0] ?? this.#start(isHurried)
    this.#put(process, place)
    if (process.isReady) setImmediate(() => this.#withPlace(process, () => this.#listener.onReady(process)))
    return process
  }

  /** It has done its work here: it is kept for the next, or ended. */
  release(process: HandlerProcess): void {
    process.restore()
    this.#put(process, { kind: 'spare', sinceMs: performance.now() })
    if (this.in('spare').length > MAX_SPARES || process.overdue > 0 || process.isBehind) this.#retire(process)
  }

  /** The same, unless handlers in it have outlived their deadlines. */
  dismiss(process: HandlerProcess): void {
    if (process.overdue > 0) process.end(OUTLIVED)
    else this.release(process)
  }

  /** Starts spare ones ahead, until there are so many, as far as there may be. */
  warm(wanted: number): void {
    for (let spares = this.in('spare').length; spares < Math.min(wanted, MAX_SPARES); spares++)
      this.#put(this.#start(false), { kind: 'spare', sinceMs: performance.now() })
  }

  /** Ends spares that were not needed for long. */
  cool(nowMs: number): void {
    for (const [process, { sinceMs }] of this.in('spare')) if (nowMs - sinceMs > SPARE_MS) this.#retire(process)
  }

  /** Ends all. Resolves when they are gone, and what they had started with them. */
  async close(): Promise<void> {
    this.isClosed = true
    await Promise.all([...this.#places.keys()].map((process) => process.stop()))
    await Promise.all(this.#ending)
    this.#guard?.close()
  }

  #put(process: HandlerProcess, place: Place): void {
    this.#remove(process)
    this.#places.set(process, place)
    if (place.kind === 'slot') this.#inSlots.set(place.slot, process)
  }

  #remove(process: HandlerProcess): void {
    const place = this.#places.get(process)
    if (place?.kind === 'slot') this.#inSlots.delete(place.slot)
    this.#places.delete(process)
  }

  #start(isHurried: boolean): HandlerProcess {
    const { data, environment, memoryMb, onDroppedLines } = this.#options
    const process = new HandlerProcess({
      data,
      environment,
      memoryMb,
      isHurried,
      isExpected: (handlers) => this.#isExpected(handlers),
      family: `${this.#familyPrefix}-${++this.#lastNumber}`,
      onDropped: onDroppedLines,
      onLines: (lines, dropped) => this.#tellLines(process.pid, lines, dropped),
      onResults: (refused) => this.#withPlace(process, (place) => this.#listener.onResults(process, place, refused)),
      onGone: (loss) => this.#leave(process, loss),
    })
    this.#guard ??= new Guard(this.#familyPrefix, this.#options.log)
    this.#guard.add(process.pid)
    process.ready.then(
      () => this.#withPlace(process, () => this.#listener.onReady(process)),
      () => {},
    )
    const ended = process.gone.finally(() => this.#ending.delete(ended))
    this.#ending.add(ended)
    return process
  }

  /** The first process says what there is. */
  #isExpected(handlers: readonly HandlerDefinition[]): boolean {
    const given = JSON.stringify(handlers)
    this.#registered ??= given
    return given === this.#registered
  }

  #leave(process: HandlerProcess, loss: Loss): void {
    this.#guard?.delete(process.pid)
    this.#withPlace(process, (place) => {
      this.#remove(process)
      this.#listener.onGone(process, place, loss)
    })
  }

  /** It is no loss to anybody. */
  #retire(process: HandlerProcess): void {
    this.#remove(process)
    void process.stop()
  }

  #withPlace(process: HandlerProcess, then: (place: Place) => void): void {
    const place = this.#places.get(process)
    if (place !== undefined) then(place)
  }

  #tellLines(pid: number, lines: readonly string[], dropped: number): void {
    if (dropped > 0) this.#options.onDroppedLines(dropped)
    for (const line of lines) this.#options.log.info({ handler_process: pid }, line)
  }
}
