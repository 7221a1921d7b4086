import { availableParallelism } from 'node:os'
import type { Work } from '../../domain/delivery.ts'
import type { HandlerDefinition } from '../../domain/handler.ts'
import { latestStartMs } from '../lease.ts'
import { extraRooms, type Room } from '../rooms.ts'
import type { HandlerProcess } from './handler-process.ts'
import { answerLost, giveBack, HELD_IDLE, LossLog, STOPPED } from './loss.ts'
import { type Place, Processes, type ProcessesOptions } from './processes.ts'
import { type Alertness, Rounds, type Scope } from './rounds.ts'
import type { Loss, Ran, Run } from './run.ts'
import { type Slot, Slots } from './slots.ts'
import { Suspects } from './suspects.ts'
import { triage } from './triage.ts'
import { Trouble } from './trouble.ts'
import { Waiting } from './waiting.ts'
import { Watch } from './watch.ts'

/** Of handlers in trouble so much less runs at once in each process: each loss takes less along. */
const TROUBLED_PART = 0.5
/** A process in which nothing has run for so long is not looked at: most attempts are over before. */
const YOUNG_MS = 50
/** A loss seldom comes alone. */
const SPARES_AFTER_LOSS = 2
/** What no attempt waits for may block its process for so long. */
const MAX_IDLE_BLOCKED_MS = 1_000
/** A blocked process is put behind all others after this time; at once, where so many are that they take every processor. */
const YIELD_AFTER_MS = 1_000

export interface PoolOptions extends ProcessesOptions {
  readonly processes: number
  /** Attempts in each process at once. */
  readonly concurrency: number
  readonly timeoutMs: number
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
 * A process apart that is blocked is set aside, too. A handler that does so again and again gets slots of its own
 * (`Trouble`), so that it only ever takes its own kind with it.
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
  readonly #lossLog: LossLog
  readonly #slots: Record<Slot['group'], Slots>
  readonly #suspects: Suspects
  readonly #rounds = new Rounds((nowMs, scope) => this.#look(nowMs, scope))
  /** Attempts that wait for room in a slot. */
  readonly #waiting = new Waiting()
  #isClosed = false

  constructor(options: PoolOptions) {
    this.#options = options
    this.extra = options.processes * extraRooms(options.concurrency)
    this.#watch = new Watch(options.memoryMb)
    this.#trouble = new Trouble(options.log)
    this.#lossLog = new LossLog(options.log, this.isTroubled)
    this.#processes = new Processes(options, {
      onReady: () => this.#isUp(),
      onResults: (process, place, refused) => this.#isFreer(process, place, refused),
      onGone: (process, place, loss) => this.#isGone(process, place, loss),
    })
    const { processes, concurrency } = options
    const troubledAtOnce = Math.ceil(concurrency * TROUBLED_PART)
    this.#slots = {
      ordinary: new Slots(this.#processes, 'ordinary', processes, concurrency + extraRooms(concurrency)),
      troubled: new Slots(this.#processes, 'troubled', processes, troubledAtOnce),
    }
    this.#suspects = new Suspects(
      this.#processes,
      (handler) => this.#trouble.pausedUntilMs(handler) <= performance.now(),
      (process, run) => this.#start(process, run),
    )
  }

  /** Starts the processes and gives what the handler modules registered. Rejects with `UnloadableError`. */
  async start(): Promise<readonly HandlerDefinition[]> {
    const handlers = await this.#slots.ordinary.start()
    this.#watch.refuseTooLarge([...this.#processes.all.keys()])
    return handlers
  }

  room(): Room {
    const { troubled } = this.#slots
    return {
      shared: this.sharedRoom,
      troubled: Math.max(0, troubled.roomWhenOpen - this.#waitingFor('troubled')),
      isolated: this.#suspects.roomAlone,
    }
  }

  /** As in `room`; asked for each event. */
  get sharedRoom(): number {
    return Math.max(0, this.#slots.ordinary.room - this.#waitingFor('ordinary'))
  }

  isTroubled = (handler: string): boolean => this.#trouble.isTroubled(handler)

  /** Whether a handler may start at all: not while it holds too many blocked processes. */
  mayStart = (handler: string): boolean => this.#processes.mayBlockMore(handler)

  /** Runs one attempt where it belongs. Never rejects: a lost process is an outcome. */
  run(work: Work): Promise<Ran> {
    const { promise, resolve } = Promise.withResolvers<Ran>()
    const run: Run = {
      work,
      company: work.isolated ? 'none' : 'many',
      startByMs: performance.now() + latestStartMs(this.#options.timeoutMs),
      resolve: (ran) => {
        if (ran.outcome !== 'process_lost' && ran.outcome !== 'released') this.#trouble.survived(work.handler)
        resolve(ran)
      },
    }
    if (this.#isClosed) answerLost(run, Date.now(), STOPPED)
    else if (work.isolated) this.#suspects.add(run)
    else this.#waiting.add(run)
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
    const all = [...this.#waiting.take(() => true), ...this.#suspects.take(() => true)]
    for (const run of all) answerLost(run, Date.now(), STOPPED)
    await this.#processes.close()
  }

  /** They have waited already: they go first. */
  #again(runs: readonly Run[]): void {
    this.#waiting.addFirst(runs.filter(({ company }) => company === 'many'))
    for (const run of runs) if (run.company !== 'many') this.#suspects.add(run)
  }

  /** Gives what waits to the processes that have room for it. */
  #fill(): void {
    if (this.#isClosed) return
    this.#waiting.take((run) => !this.#trouble.hasAny(run.work.handler) && this.#startShared(run))
    this.#waiting.take((run) => this.#startShared(run))
    this.#suspects.fill()
    this.#rounds.soon()
  }

  /** False if there is no room yet. */
  #startShared(run: Run): boolean {
    const { handler } = run.work
    const group = this.#groupOf(handler)
    if (group === 'troubled' && !this.mayStart(handler)) return false
    if (group === 'troubled') this.#slots.troubled.open()
    const process = this.#slots[group].roomiest()
    if (process === undefined) return false
    this.#start(process, run)
    return true
  }

  #groupOf = (handler: string): Slot['group'] => (this.#trouble.isTroubled(handler) ? 'troubled' : 'ordinary')

  #waitingFor = (group: Slot['group']): number =>
    this.#waiting.count(({ work }) => this.#groupOf(work.handler) === group)

  #start(process: HandlerProcess, run: Run): void {
    process.run(run, this.#options.timeoutMs)
  }

  #isUp(): void {
    this.#suspects.loaded()
    this.#offerRoom()
  }

  #isFreer(process: HandlerProcess, place: Place, refused: readonly Run[]): void {
    if (this.#isClosed) {
      for (const run of refused) answerLost(run, Date.now(), STOPPED)
      return
    }
    this.#again(refused)
    const { concurrency } = this.#options
    if (place.kind === 'slot' && process.overdue > 0 && process.overdue * 2 >= concurrency)
      this.#setAside(process, place)
    if (process.isIdle && this.#processes.all.get(process)?.kind === 'aside') this.#processes.dismiss(process)
    this.#offerRoom()
  }

  /** Another takes its place; it may finish what it has begun. */
  #setAside(process: HandlerProcess, place: Place, handler?: string): void {
    this.#processes.move(process, { kind: 'aside', sinceMs: performance.now(), handler })
    if (place.kind === 'slot') this.#slots[place.slot.group].replace(place.slot, process)
    this.#processes.warm(this.#processes.in('aside').length)
  }

  #isGone(process: HandlerProcess, place: Place, loss: Loss): void {
    if (this.#isClosed) {
      for (const { run, sentAtMs } of loss.begun) answerLost(run, sentAtMs, STOPPED)
      for (const run of loss.notBegun) answerLost(run, Date.now(), STOPPED)
      return
    }
    if (!process.isReady) this.#hasFailed(loss.fault)
    const { guilty, again, accused } = triage(loss)
    const isNews = accused !== undefined && !this.#trouble.hasAny(accused)
    if (guilty !== undefined) answerLost(guilty.run, guilty.sentAtMs, loss.fault, loss.stack)
    this.#again(again)
    if (process.isReady) this.#lossLog.tell(loss, again.length)
    if (accused !== undefined) this.#trouble.lost(accused, performance.now(), loss.fault)
    if (place.kind === 'slot') this.#slots[place.slot.group].lost(place.slot, process, loss, isNews)
    if (loss.begun.length > 0) this.#processes.warm(SPARES_AFTER_LOSS)
    this.#offerRoom()
  }

  #hasFailed(fault: string): void {
    this.#suspects.failed()
    this.#options.log.error({ error: fault }, 'a handler process could not start')
  }

  #offerRoom(): void {
    this.#fill()
    this.onRoom()
  }

  #look(nowMs: number, scope: Scope): Alertness {
    let alertness: Alertness = this.#waiting.size + this.#suspects.size > 0 ? 'busy' : 'idle'
    for (const [process, place] of this.#processes.all) {
      const isBusy = !process.isIdle || place.kind === 'aside'
      if (isBusy && alertness === 'idle') alertness = 'busy'
      const isAtWork = process.first !== undefined && nowMs - process.first.sinceMs > YOUNG_MS
      const isDue = scope === 'all' || place.kind === 'aside' || isAtWork
      if (process.isReady && isDue && this.#lookAt(process, place, nowMs)) alertness = 'alert'
      const fault = scope === 'memory' ? this.#watch.outgrown(process) : undefined
      if (fault !== undefined) process.end(fault)
    }
    this.#giveBackLate(nowMs)
    this.#processes.cool(nowMs)
    const isForgiven = this.#trouble.forget(nowMs)
    if (this.#trouble.isQuiet) this.#slots.troubled.closeIdle()
    if (isForgiven) this.#offerRoom()
    // Some of it may have waited for a time to pass.
    else if (this.#waiting.size + this.#suspects.size > 0) this.#fill()
    return alertness
  }

  /** What has waited so long that its lease would end while it runs. */
  #giveBackLate(nowMs: number): void {
    const isLate = ({ startByMs }: Run): boolean => startByMs < nowMs
    for (const run of [...this.#waiting.take(isLate), ...this.#suspects.take(isLate)]) giveBack(run)
  }

  /** Whether it has to answer yet. */
  #lookAt(process: HandlerProcess, place: Place, nowMs: number): boolean {
    const sign = this.#watch.look(process, nowMs)
    if (sign.kind === 'to_end') process.end(sign.fault)
    else if (place.kind === 'aside') this.#lookAside(process, sign.kind === 'blocked', nowMs - place.sinceMs)
    else if (sign.kind === 'blocked' && process.isIdle && place.kind !== 'slot') process.end(HELD_IDLE)
    else if (sign.kind === 'blocked') this.#isBlocked(process, place)
    else if (process.isBlocked && sign.kind === 'well') {
      process.restore()
      this.#offerRoom()
    }
    return sign.kind !== 'well'
  }

  #lookAside(process: HandlerProcess, isBlocked: boolean, asideMs: number): void {
    const isCrowded = this.#processes.in('aside').length >= availableParallelism()
    if (!isBlocked && process.isIdle) this.#processes.dismiss(process)
    else if (isBlocked && process.isIdle && asideMs > MAX_IDLE_BLOCKED_MS) process.end(HELD_IDLE)
    else if (isBlocked && asideMs > (isCrowded ? 0 : YIELD_AFTER_MS)) process.yieldCpu()
  }

  /** What it has not begun runs elsewhere. */
  #isBlocked(process: HandlerProcess, place: Place): void {
    const handler = process.suspect()?.run.work.handler
    if (!process.isBlocked && handler !== undefined) this.#trouble.blocked(handler, performance.now())
    const runs = process.revoke()
    if (this.#processes.mayReplace()) this.#setAside(process, place, handler)
    this.#again(runs)
    this.#offerRoom()
  }
}
