import { messageOf } from '../../domain/errors.ts'
import type { StoreLog } from '../../domain/store.ts'
import type { DatabaseClock } from './clock.ts'
import type { Connections } from './connections.ts'
import type { Leases } from './own-leases.ts'

/**
 * Interval at which a claim looks for stores that are gone and reclaims their leases. `alive_1` takes a store for gone if it
 * has been silent for 6.5 s. As long as any store claims, the leases of a store are reclaimed at most 8 s after its end.
 */
const LOOK_MS = 1_000
/** Interval at which a claim writes the heartbeat of its store. Looking for others writes nothing, and is done more often. */
const BEAT_MS = 2_000
/** After this long without a claim, a statement of its own writes the heartbeat. */
const SILENCE_MS = 2_200
const RECOVERY_MS = 200
/** An append leases nothing if the last heartbeat is older than this: other stores might take this one for gone. */
const FRESH_MS = 3_000
/** A statement that was under way when a failure occurred may be committed this long after it. */
const DOUBT_MS = 10_000

const ALIVE = { name: 'alive', text: 'SELECT FROM alive_1($1, true)' }
const GIVE_BACK = { name: 'give-back', text: 'SELECT give_back_2(clock_1($1), $2, $3, $4, $5, $6)' }
const LEAVE = { name: 'leave', text: 'SELECT FROM leave_2(clock_1($1), $2, $3)' }
const UNKNOWN_TO_HOLDER =
  'the store that had leased the delivery did not know of the lease, or the database had lost its settlement'
const STORE_CLOSED = 'the service stopped'

/** What a claim does besides claiming. */
export interface Duties {
  /** The claim reclaims the leases of stores that are gone, in the name of this lease holder; null: it does not. */
  readonly holder: string | null
  /** Whether the claim writes the heartbeat of the holder. */
  readonly beats: boolean
}
const NONE: Duties = { holder: null, beats: false }

/**
 * Writes the heartbeat of this store from its first lease on, and so finds out whether the database can be written at all,
 * whether or not a standby answers. After a failure it releases the leases that the database has in the name of this store and
 * that the store does not know: either the answer to the claim was lost, or the database has lost a settlement that it had not
 * yet written to disk.
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

  /**
   * To be called before the first lease. Resolves once the first heartbeat was written, or could not be written. Idempotent.
   */
  begin(): Promise<void> {
    this.#begun ??= this.#beat()
    return this.#begun
  }

  /** Why this store cannot lease anything now; undefined if it can. */
  fault = (): string | undefined => this.#fault

  /** Whether it is certain that no other store takes this one for gone. */
  isFresh = (): boolean => this.#fault === undefined && performance.now() - this.#beatAtMs < FRESH_MS

  /** Runs a claim. If it is time, the claim also looks for stores that are gone, and writes the heartbeat. */
  async during<Result>(claim: (duties: Duties) => Promise<Result>): Promise<Result> {
    const nowMs = performance.now()
    if (nowMs - this.#lookedAtMs < LOOK_MS) return claim(NONE)
    this.#lookedAtMs = nowMs
    const beats = nowMs - this.#beatAtMs >= BEAT_MS
    const result = await claim({ holder: this.#leases.holder, beats })
    if (beats) this.#beatAtMs = Math.max(this.#beatAtMs, nowMs)
    return result
  }

  /** Says that a statement failed. It may have leased deliveries, which are then released. */
  suspect(): void {
    this.#doubtUntilMs = performance.now() + DOUBT_MS
  }

  /** Says that the database refuses events. The store finds out at once whether the database still takes leases. */
  doubt(fault: string): void {
    this.suspect()
    this.#fault = fault
    if (this.#begun !== undefined) void this.#beat()
  }

  /** Says that the database takes events again. */
  recovered(): void {
    this.suspect()
    if (this.#begun === undefined) this.#fault = undefined
  }

  /** Releases all leases. The store must not be used any more. */
  async leave(): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#timer)
    await this.#beating
    if (this.#begun === undefined || this.#fault !== undefined) return
    try {
      await this.#connections.run('lease', LEAVE, [this.#clock.givenMs(), this.#leases.holder, STORE_CLOSED])
    } catch (error) {
      this.#log(
        'warn',
        `the leases of this store could not be released, so other stores reclaim them later: ${messageOf(error)}`,
      )
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
    const values = [this.#clock.givenMs(), this.#leases.holder, last, asked, held, UNKNOWN_TO_HOLDER]
    try {
      await this.#connections.run('life', GIVE_BACK, values)
    } catch (error) {
      // Each heartbeat tries again until `DOUBT_MS` after the failure.
      this.#log('warn', `leases that this store does not know could not be released: ${messageOf(error)}`)
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
