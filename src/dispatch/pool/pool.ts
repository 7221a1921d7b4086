import { availableParallelism } from 'node:os'
import { availableMemory } from 'node:process'
import type { Work } from '../../domain/delivery.ts'
import type { HandlerRegistration } from '../../domain/handler.ts'
import { extraRooms } from '../rooms.ts'
import type { HandlerProcess } from './handler-process.ts'
import { answerLost, OUTLIVED, STOPPED, tellLoss } from './loss.ts'
import { type Place, Processes, type ProcessesOptions } from './processes.ts'
import { type Alertness, Rounds } from './rounds.ts'
import type { Loss, Ran, Run } from './run.ts'
import { type Slot, Slots } from './slots.ts'
import { Suspects } from './suspects.ts'
import { triage } from './triage.ts'
import { Trouble } from './trouble.ts'
import { Watch } from './watch.ts'

/** Wait before suspects have another process after one that could not load; doubles up to the cap. */
const RESTART_BASE_MS = 100
const RESTART_CAP_MS = 10_000
/** Processes at once that are blocked and have been replaced; and of those, by one handler. */
const MAX_ASIDE = 24
const MAX_ASIDE_BY_HANDLER = 16
/** Handlers in trouble have so many times as many processes, in which so much less runs at once: each loss takes less along. */
const TROUBLED_FACTOR = 2
const TROUBLED_PART = 0.25
/** Memory that has to be left for another one, about that of two processes. */
const MIN_FREE_BYTES = 128 * 1024 * 1024
/** A process in which nothing has run for so long is not looked at: most attempts are over before. */
const YOUNG_MS = 50
/** A blocked process is put behind all others after this time; at once, where so many are that they take every processor. */
const YIELD_AFTER_MS = 1_000

export interface PoolOptions extends ProcessesOptions {
  readonly processes: number
  /** Attempts in each process at once. */
  readonly concurrency: number
  readonly timeoutMs: number
}
/** Attempts that could start now: of handlers in general (the extra ones included), of those in trouble, and alone. */
export interface Room {
  readonly shared: number
  readonly troubled: number
  readonly isolated: number
}

/**
 * The handler processes, and which attempt runs in which.
 *
 * ```
 *           blocked, or full of what is overdue: replaced at once
 *   slot ────────────────────────────────────────────────────────→ aside ── answers again, and is done ──→ spare
 *     │                                                              │                                       │
 *     │ ends, or is ended                                            │ is ended at the deadline              │ is needed
 *     ↓                                                              ↓                                       ↓
 *   what it ran is suspected: `few` share a process, the first suspect and what is lost again run in one alone: apart
 * ```
 *
 * A handler that does so again and again gets slots of its own (`Trouble`), so that it only ever takes its own kind with it.
 */
export class HandlerPool {
  /** Called whenever room may have appeared. */
  onRoom: () => void = () => {}
  /** Attempts beyond the configured number, in all. */
  readonly extra: number

  readonly #options: PoolOptions
  readonly #processes: Processes
  readonly #watch: Watch
  readonly #trouble: Trouble
  readonly #slots: Record<Slot['group'], Slots>
  readonly #suspects: Suspects
  readonly #rounds = new Rounds((nowMs, isFull) => this.#look(nowMs, isFull))
  /** Attempts that wait for room in a slot. */
  #waiting: Run[] = []
  /** In a row, of processes that could not load. */
  #failures = 0
  #isClosed = false

  constructor(options: PoolOptions) {
    this.#options = options
    this.extra = options.processes * extraRooms(options.concurrency)
    this.#watch = new Watch(options.memoryMb)
    this.#trouble = new Trouble(options.log)
    this.#processes = new Processes(options, {
      onReady: () => this.#isUp(),
      onResults: (process, place) => this.#isFreer(process, place),
      onGone: (process, place, loss) => this.#isGone(process, place, loss),
    })
    const { processes, concurrency } = options
    const troubledAtOnce = Math.ceil(concurrency * TROUBLED_PART)
    this.#slots = {
      ordinary: new Slots(this.#processes, 'ordinary', processes, concurrency + extraRooms(concurrency)),
      troubled: new Slots(this.#processes, 'troubled', processes * TROUBLED_FACTOR, troubledAtOnce),
    }
    this.#suspects = new Suspects(
      this.#processes,
      (handler) => this.#trouble.pausedUntilMs(handler) <= Date.now(),
      (process, run) => this.#start(process, run),
    )
  }

  /** Starts the processes and gives what the handler modules registered. Rejects with `UnloadableError`. */
  async start(): Promise<readonly HandlerRegistration[]> {
    return this.#slots.ordinary.start()
  }

  room(): Room {
    const { troubled } = this.#slots
    return {
      shared: this.sharedRoom,
      // They are opened when there is need of them.
      troubled: troubled.isOpen ? troubled.room : troubled.size,
      isolated: this.#suspects.roomAlone,
    }
  }

  /** As in `room`; asked for each event. */
  get sharedRoom(): number {
    return Math.max(0, this.#slots.ordinary.room - this.#waiting.length)
  }

  isTroubled = (handler: string): boolean => this.#trouble.isTroubled(handler)

  /** Whether a handler may start at all: not while it holds too many blocked processes. */
  mayStart(handler: string): boolean {
    return this.#processes.in('aside').filter(([, place]) => place.handler === handler).length < MAX_ASIDE_BY_HANDLER
  }

  /** Runs one attempt where it belongs. Never rejects: a lost process is an outcome. */
  run(work: Work): Promise<Ran> {
    const { promise, resolve } = Promise.withResolvers<Ran>()
    const run: Run = {
      work,
      company: work.isolated ? 'none' : 'many',
      resolve: (ran) => {
        if (ran.outcome !== 'process_lost') this.#trouble.survived(work.handler)
        resolve(ran)
      },
    }
    if (work.isolated) this.#suspects.add(run)
    else this.#waiting.push(run)
    this.#fill()
    return promise
  }

  /** Tells all running handlers, by their signal, that the service stops. */
  abort(): void {
    for (const process of this.#processes.all.keys()) process.abortAll()
  }

  /** Ends all processes; what still ran is answered as lost. Idempotent. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#rounds.stop()
    for (const run of [...this.#waiting.splice(0), ...this.#suspects.clear()]) answerLost(run, Date.now(), STOPPED)
    await this.#processes.close()
  }

  /** They have waited already: they go first. */
  #again(runs: readonly Run[]): void {
    this.#waiting.unshift(...runs.filter(({ company }) => company === 'many'))
    for (const run of runs) if (run.company !== 'many') this.#suspects.add(run)
  }

  /** Gives what waits to the processes that have room for it. */
  #fill(): void {
    if (this.#isClosed) return
    this.#waiting = this.#waiting.filter((run) => !this.#startShared(run))
    this.#suspects.fill()
    this.#rounds.soon()
  }

  /** False if there is no room yet. */
  #startShared(run: Run): boolean {
    const { handler } = run.work
    const isTroubled = this.#trouble.isTroubled(handler)
    if (isTroubled && !this.mayStart(handler)) return false
    if (isTroubled) this.#slots.troubled.open()
    const process = this.#slots[isTroubled ? 'troubled' : 'ordinary'].roomiest()
    if (process === undefined) return false
    this.#start(process, run)
    return true
  }

  #start(process: HandlerProcess, run: Run): void {
    process.run(run, Date.now(), this.#options.timeoutMs)
  }

  #isUp(): void {
    this.#failures = 0
    this.#offerRoom()
  }

  #isFreer(process: HandlerProcess, place: Place): void {
    const { concurrency } = this.#options
    if (place.kind === 'slot' && process.overdue > 0 && process.overdue * 2 >= concurrency)
      this.#setAside(process, place.slot)
    if (process.isIdle && place.kind === 'apart') this.#processes.release(process)
    if (process.isIdle && this.#processes.all.get(process)?.kind === 'aside') this.#dismiss(process)
    this.#offerRoom()
  }

  /** Another takes its slot; it may finish what it has begun. */
  #setAside(process: HandlerProcess, slot: Slot, handler?: string): void {
    this.#processes.move(process, { kind: 'aside', sinceMs: Date.now(), handler })
    this.#slots[slot.group].reopen(slot)
    this.#processes.warm(this.#processes.in('aside').length)
  }

  #dismiss(process: HandlerProcess): void {
    if (process.overdue > 0) process.end(OUTLIVED)
    else this.#processes.release(process)
  }

  #mayReplace = (): boolean => this.#processes.in('aside').length < MAX_ASIDE && availableMemory() > MIN_FREE_BYTES

  #isGone(process: HandlerProcess, place: Place, loss: Loss): void {
    if (this.#isClosed) {
      for (const { run, sentAtMs } of loss.begun) answerLost(run, sentAtMs, STOPPED)
      for (const run of loss.notBegun) answerLost(run, Date.now(), STOPPED)
      return
    }
    if (!process.isReady) this.#hasFailed(loss.fault)
    const { guilty, again, suspected } = triage(loss)
    if (guilty !== undefined) answerLost(guilty.run, guilty.sentAtMs, loss.fault, loss.stack)
    this.#again(again)
    if (process.isReady) tellLoss(this.#options.log, loss, again.length, this.isTroubled)
    if (suspected !== undefined) this.#accuse(suspected.run.work.handler, loss.fault)
    if (place.kind === 'slot') this.#slots[place.slot.group].lost(place.slot, process)
    this.#offerRoom()
  }

  #accuse(handler: string, fault: string): void {
    this.#trouble.lost(handler, Date.now(), fault)
    const pauseMs = this.#trouble.pausedUntilMs(handler) - Date.now()
    if (pauseMs > 0) setTimeout(() => this.#offerRoom(), pauseMs + 1).unref()
  }

  #hasFailed(fault: string): void {
    const delayMs = Math.min(RESTART_CAP_MS, RESTART_BASE_MS * 2 ** ++this.#failures)
    this.#suspects.pauseUntil(Date.now() + delayMs)
    setTimeout(() => this.#fill(), delayMs + 1).unref()
    this.#options.log.error({ error: fault }, 'a handler process could not start')
  }

  #offerRoom(): void {
    this.#fill()
    this.onRoom()
  }

  #look(nowMs: number, isFull: boolean): Alertness {
    let alertness: Alertness = 'idle'
    for (const [process, place] of this.#processes.all) {
      const isBusy = !process.isIdle || place.kind === 'aside'
      if (isBusy && alertness === 'idle') alertness = 'busy'
      const isDue = isFull || place.kind === 'aside' || process.atWorkSince(nowMs - YOUNG_MS)
      if (process.isReady && isDue && this.#lookAt(process, place, nowMs)) alertness = 'alert'
    }
    this.#processes.cool(nowMs)
    this.#trouble.forget(nowMs)
    if (this.#trouble.isQuiet) this.#slots.troubled.closeIdle()
    return alertness
  }

  /** Whether it has to answer yet. */
  #lookAt(process: HandlerProcess, place: Place, nowMs: number): boolean {
    const sign = this.#watch.look(process, nowMs)
    if (sign.kind === 'to_end') process.end(sign.fault)
    else if (place.kind === 'aside') this.#lookAside(process, sign.kind === 'blocked', nowMs - place.sinceMs)
    else if (sign.kind === 'blocked' && place.kind === 'slot') this.#isBlocked(process, place.slot)
    else if (sign.kind === 'blocked') process.yieldCpu()
    else if (process.isBlocked && sign.kind === 'well') {
      process.restore()
      this.#offerRoom()
    }
    return sign.kind !== 'well'
  }

  #lookAside(process: HandlerProcess, isBlocked: boolean, asideMs: number): void {
    if (!isBlocked && process.isIdle) this.#dismiss(process)
    else if (isBlocked && process.isIdle && asideMs > this.#options.timeoutMs)
      process.end('a handler held its process after its attempt had ended')
    else if (isBlocked && asideMs > this.#yieldAfterMs()) process.yieldCpu()
  }

  #yieldAfterMs = (): number => (this.#processes.in('aside').length < availableParallelism() ? YIELD_AFTER_MS : 0)

  /** What it has not begun runs elsewhere. */
  #isBlocked(process: HandlerProcess, slot: Slot): void {
    const handler = process.lastBegun()?.run.work.handler
    if (!process.isBlocked && handler !== undefined) this.#trouble.blocked(handler, Date.now())
    const runs = process.revoke()
    if (this.#mayReplace()) this.#setAside(process, slot, handler)
    this.#again(runs)
    this.#offerRoom()
  }
}
