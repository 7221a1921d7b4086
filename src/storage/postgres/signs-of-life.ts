import { messageOf } from '../../domain/errors.ts'
import type { StoreLog } from '../../domain/store.ts'
import type { Connections } from './connections.ts'
import type { DatabaseClock } from './database-clock.ts'
import type { Leases } from './leases.ts'

/**
 * So often a claim looks for the dead, and takes back what they have leased. What counts as dead is in `alive_1`: who was silent
 * for 6.5 s. From a death to that pass 8 s at most, if anybody claims.
 */
const LOOK_MS = 1_000
/** So often a claim says that its store lives, which is written, as looking is not. */
const SAY_MS = 2_000
/** A store that does not claim says so on its own, after this time. */
const SILENCE_MS = 2_200
const RECOVERY_MS = 200
/** Nothing is leased at an append by a store that has not been heard of for so long: it might be dead to others. */
const HEARD_MS = 3_000
/** What was under way when something went wrong may be committed so long after. */
const DOUBT_MS = 10_000

const ALIVE = { name: 'alive', text: 'SELECT FROM alive_1($1, true)' }
const GIVE_BACK = { name: 'give-back', text: 'SELECT give_back_2(clock_1($1), $2, $3, $4, $5, $6)' }
const LEAVE = { name: 'leave', text: 'SELECT FROM leave_2(clock_1($1), $2, $3)' }
const NEVER_HANDED_OUT = 'what had leased it never heard of it, or had settled it before the database lost that'
const STORE_CLOSED = 'the service stopped'

/** What a claim does beside: `holder` looks for the dead, null: it does not, and says that it lives. */
export interface Look {
  readonly holder: string | null
  readonly says: boolean
}
const NOT_NOW: Look = { holder: null, says: false }

/**
 * Says that this store lives, from its first lease on, and so finds out whether the database can be written at all, whether
 * or not a standby answers. After trouble it gives back what it has leased and does not know of: the answer was lost, or a
 * settlement that the database had not written down yet.
 */
export class SignsOfLife {
  readonly #connections: Connections
  readonly #leases: Leases
  readonly #clock: DatabaseClock
  readonly #log: StoreLog
  #begun: Promise<void> | undefined
  #stopped = false
  #saidAtMs = Number.NEGATIVE_INFINITY
  #lookedAtMs = Number.NEGATIVE_INFINITY
  #doubtUntilMs = Number.NEGATIVE_INFINITY
  #fault: string | undefined
  #timer: NodeJS.Timeout | undefined
  #saying: Promise<void> | undefined

  constructor(connections: Connections, leases: Leases, clock: DatabaseClock, log: StoreLog) {
    this.#connections = connections
    this.#leases = leases
    this.#clock = clock
    this.#log = log
  }

  /** Before the first lease. Resolves once it was said for the first time, or could not be. Idempotent. */
  begin(): Promise<void> {
    this.#begun ??= this.#say()
    return this.#begun
  }

  /** Why nothing can be leased now; undefined: it can. */
  fault = (): string | undefined => this.#fault

  /** Whether all others know that this store lives. */
  isHeard = (): boolean => this.#fault === undefined && performance.now() - this.#saidAtMs < HEARD_MS

  /** Runs a claim, which looks for the dead, and says that this store lives, where it is time. */
  async during<Result>(claim: (look: Look) => Promise<Result>): Promise<Result> {
    const nowMs = performance.now()
    if (nowMs - this.#lookedAtMs < LOOK_MS) return claim(NOT_NOW)
    this.#lookedAtMs = nowMs
    const says = nowMs - this.#saidAtMs >= SAY_MS
    const result = await claim({ holder: this.#leases.holder, says })
    if (says) this.#saidAtMs = Math.max(this.#saidAtMs, nowMs)
    return result
  }

  /** Something failed: what it may have leased is looked for. */
  suspect(): void {
    this.#doubtUntilMs = performance.now() + DOUBT_MS
  }

  /** The database refuses events. It may take leases all the same, which is asked at once. */
  doubt(fault: string): void {
    this.suspect()
    this.#fault = fault
    if (this.#begun !== undefined) void this.#say()
  }

  /** The database takes events again. */
  recovered(): void {
    this.suspect()
    if (this.#begun === undefined) this.#fault = undefined
  }

  /** Gives back all that is leased, in order: nothing is asked of this store any more. */
  async leave(): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#timer)
    await this.#saying
    if (this.#begun === undefined || this.#fault !== undefined) return
    try {
      await this.#connections.run('lease', LEAVE, [this.#clock.givenMs(), this.#leases.holder, STORE_CLOSED])
    } catch (error) {
      this.#log('warn', `others have to find out that this store has gone: ${messageOf(error)}`)
    }
  }

  #say(): Promise<void> {
    if (this.#stopped) return Promise.resolve()
    clearTimeout(this.#timer)
    this.#saying ??= this.#sayOnce().finally(() => {
      this.#saying = undefined
      this.#schedule()
    })
    return this.#saying
  }

  async #sayOnce(): Promise<void> {
    const nowMs = performance.now()
    try {
      await this.#connections.run('life', ALIVE, [this.#leases.holder])
      this.#saidAtMs = Math.max(this.#saidAtMs, nowMs)
      this.#fault = undefined
    } catch (error) {
      this.#fault = `the database cannot be written: ${messageOf(error)}`
      return
    }
    if (nowMs < this.#doubtUntilMs) await this.#giveBack()
  }

  async #giveBack(): Promise<void> {
    const { last, asked, held } = this.#leases.known()
    const given = [this.#clock.givenMs(), this.#leases.holder, last, asked, held, NEVER_HANDED_OUT]
    try {
      await this.#connections.run('life', GIVE_BACK, given)
    } catch (error) {
      // It is tried again as long as there is doubt.
      this.#log('warn', `what is leased here without being known could not be given back: ${messageOf(error)}`)
    }
  }

  #schedule(): void {
    if (this.#stopped) return
    clearTimeout(this.#timer)
    const isSound = this.#fault === undefined
    const silentMs = performance.now() - this.#saidAtMs
    const waitMs = isSound ? Math.max(SILENCE_MS - silentMs, RECOVERY_MS) : RECOVERY_MS
    this.#timer = setTimeout(() => this.#tick(), waitMs)
  }

  /** A claim may have said so meanwhile. */
  #tick(): void {
    const isDue = performance.now() - this.#saidAtMs >= SILENCE_MS
    if (isDue || this.#fault !== undefined || performance.now() < this.#doubtUntilMs) void this.#say()
    else this.#schedule()
  }
}
