import { messageOf } from '../../domain/errors.ts'
import type { StoreLog } from '../../domain/store.ts'
import type { DatabaseClock } from './clock.ts'
import type { Connections } from './connections.ts'
import type { Leases } from './own-leases.ts'

/**
 * Interval at which a claim looks for stores that are gone and reclaims their leases. By `alive_1` a store is gone if it has
 * been silent for 6.5 s. As long as any store claims, leases are reclaimed at most 8 s after their holder's end.
 */
const LOOK_MS = 1_000
/** Interval at which a claim writes its store's heartbeat; looking writes nothing, and is done more often. */
const BEAT_MS = 2_000
/** After so long without a claim, a statement of its own writes the heartbeat. */
const SILENCE_MS = 2_200
const RECOVERY_MS = 200
/** An append leases nothing if the last heartbeat is older: other stores might take this one for gone. */
const FRESH_MS = 3_000
/** A statement that was under way when something failed may be committed so long after. */
const DOUBT_MS = 10_000

const ALIVE = { name: 'alive', text: 'SELECT FROM alive_1($1, true)' }
const GIVE_BACK = { name: 'give-back', text: 'SELECT give_back_2(clock_1($1), $2, $3, $4, $5, $6)' }
const LEAVE = { name: 'leave', text: 'SELECT FROM leave_2(clock_1($1), $2, $3)' }
const UNKNOWN_TO_HOLDER = 'what had leased it never heard of it, or had settled it before the database lost that'
const STORE_CLOSED = 'the service stopped'

/** What a claim does besides claiming. */
export interface Duties {
  /** In the name of this lease holder it reclaims the leases of stores that are gone; null: it does not. */
  readonly holder: string | null
  /** It writes the holder's heartbeat. */
  readonly beats: boolean
}
const NONE: Duties = { holder: null, beats: false }

/**
 * Writes this store's heartbeat from its first lease on, and so finds out whether the database can be written at all, whether
 * or not a standby answers. After a failure it releases the leases that the database has in this store's name and the store
 * does not know: the answer to the claim was lost, or the database has lost a settlement that it had not written to disk.
 */
export class Heartbeat {
  readonly #connections: Connections
  readonly #leases: Leases
  readonly #clock: DatabaseClock
  readonly #log: StoreLog
  #begun: Promise<void> | undefined
  #stopped = false
  #beatAtMs = Number.NEGATIVE_INFINITY
  #lookedAtMs = Number.NEGATIVE_INFINITY
  #doubtUntilMs = Number.NEGATIVE_INFINITY
  #fault: string | undefined
  #timer: NodeJS.Timeout | undefined
  #beating: Promise<void> | undefined

  constructor(connections: Connections, leases: Leases, clock: DatabaseClock, log: StoreLog) {
    this.#connections = connections
    this.#leases = leases
    this.#clock = clock
    this.#log = log
  }

  /** Called before the first lease. Resolves once the first heartbeat was written, or could not be. Idempotent. */
  begin(): Promise<void> {
    this.#begun ??= this.#beat()
    return this.#begun
  }

  /** Why nothing can be leased now; undefined if it can. */
  fault = (): string | undefined => this.#fault

  /** Whether no other store can take this one for gone. */
  isFresh = (): boolean => this.#fault === undefined && performance.now() - this.#beatAtMs < FRESH_MS

  /** Runs a claim, and has it look for stores that are gone and write the heartbeat, where it is time. */
  async during<Result>(claim: (duties: Duties) => Promise<Result>): Promise<Result> {
    const nowMs = performance.now()
    if (nowMs - this.#lookedAtMs < LOOK_MS) return claim(NONE)
    this.#lookedAtMs = nowMs
    const beats = nowMs - this.#beatAtMs >= BEAT_MS
    const result = await claim({ holder: this.#leases.holder, beats })
    if (beats) this.#beatAtMs = Math.max(this.#beatAtMs, nowMs)
    return result
  }

  /** Something failed. It may have leased deliveries, which are released if so. */
  suspect(): void {
    this.#doubtUntilMs = performance.now() + DOUBT_MS
  }

  /** The database refuses events. Whether it takes leases all the same is found out at once. */
  doubt(fault: string): void {
    this.suspect()
    this.#fault = fault
    if (this.#begun !== undefined) void this.#beat()
  }

  /** The database takes events again. */
  recovered(): void {
    this.suspect()
    if (this.#begun === undefined) this.#fault = undefined
  }

  /** Releases all leases. The store is used no more. */
  async leave(): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#timer)
    await this.#beating
    if (this.#begun === undefined || this.#fault !== undefined) return
    try {
      await this.#connections.run('lease', LEAVE, [this.#clock.givenMs(), this.#leases.holder, STORE_CLOSED])
    } catch (error) {
      this.#log('warn', `others have to find out that this store has gone: ${messageOf(error)}`)
    }
  }

  #beat(): Promise<void> {
    if (this.#stopped) return Promise.resolve()
    clearTimeout(this.#timer)
    this.#beating ??= this.#beatOnce().finally(() => {
      this.#beating = undefined
      this.#schedule()
    })
    return this.#beating
  }

  async #beatOnce(): Promise<void> {
    const nowMs = performance.now()
    try {
      await this.#connections.run('life', ALIVE, [this.#leases.holder])
      this.#beatAtMs = Math.max(this.#beatAtMs, nowMs)
      this.#fault = undefined
    } catch (error) {
      this.#fault = `the database cannot be written: ${messageOf(error)}`
      return
    }
    if (nowMs < this.#doubtUntilMs) await this.#releaseUnknown()
  }

  async #releaseUnknown(): Promise<void> {
    const { last, asked, held } = this.#leases.known()
    const given = [this.#clock.givenMs(), this.#leases.holder, last, asked, held, UNKNOWN_TO_HOLDER]
    try {
      await this.#connections.run('life', GIVE_BACK, given)
    } catch (error) {
      // Each heartbeat tries again as long as the doubt lasts.
      this.#log('warn', `what is leased here without being known could not be given back: ${messageOf(error)}`)
    }
  }

  #schedule(): void {
    if (this.#stopped) return
    clearTimeout(this.#timer)
    const isSound = this.#fault === undefined
    const silentMs = performance.now() - this.#beatAtMs
    const waitMs = isSound ? Math.max(SILENCE_MS - silentMs, RECOVERY_MS) : RECOVERY_MS
    this.#timer = setTimeout(() => this.#tick(), waitMs)
  }

  /** A claim may have written the heartbeat meanwhile. */
  #tick(): void {
    const isDue = performance.now() - this.#beatAtMs >= SILENCE_MS
    if (isDue || this.#fault !== undefined || performance.now() < this.#doubtUntilMs) void this.#beat()
    else this.#schedule()
  }
}
