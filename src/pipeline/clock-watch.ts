import { hash } from 'node:crypto'
import type { Logger } from 'pino'
import type { Clock } from '../domain/clock.ts'
import type { Headers } from '../domain/event.ts'

/** A sender whose time differs by no more shows that this clock is right. */
const RIGHT_MS = 60_000
/** A sender whose time differs by more was in time for a wide window alone, and says nothing of this clock. */
const USUAL_WINDOW_MS = 5 * 60_000
/** Witnesses whose clocks differ by no more say the same. */
const AGREE_MS = 60_000
/** How long a witness counts, and how long a clock is held for off without another one. */
const WITNESS_MS = 10 * 60_000
/** How long a proof that the clock was right holds: clocks that nobody sets drift by seconds in a day. */
const PROOF_MS = 24 * 3_600_000
/** Different requests that have to agree, where nothing else speaks for it; and where a provider's answer does, too. */
const WITNESSES = 5
const WITNESSES_WITH_ANSWER = 2
/** Of those that are kept. */
const MAX_WITNESSES = 64

/** A time told by someone else: what it is ahead of a clock that nobody sets, and when that was heard. */
interface TimeSample {
  readonly epochMs: number
  readonly atMs: number
}

export interface ClockWatchOptions {
  /** The one that is watched. */
  readonly clock: Clock
  /** Monotonic milliseconds. */
  readonly now: () => number
  readonly log: Logger
}

/**
 * Tells a clock of this service that is off from replays of old requests. Both look the same: requests that are signed,
 * and too old or too new. So how far senders are ahead is counted from a monotonic clock, which nobody sets:
 *
 * - Once a request was proven in time, or a provider's answer has shown it, the true time is known for a day, whatever
 *   the clock is set to later. A stale request then speaks of this clock only if it agrees with that time: a replay is as
 *   much behind it as it is old. So while the clock is right no number of replays says anything, however many and
 *   whichever; and when it is set wrongly, the first request is enough.
 * - Where nothing has shown the time yet, because the process started with a clock that was off, `WITNESSES` different bodies
 *   within ten minutes have to agree to a minute; two, if the `Date` of a provider's answer says the same. An attacker would
 *   need as many requests that are signed and were recorded together, and no true one since the start.
 *   The first true one, or answer, then ends it, and nobody can make it come back.
 *
 * Held for off, the clock turns away (503) only what agrees with the witnesses; other stale requests get 401 as ever. Nothing is ever
 * accepted for it. It ends when the clock is set right, ten minutes after the last witness, or with the first request that is proven:
 * one that differs by five minutes at most, and not from the time that was known before.
 */
export class ClockWatch {
  readonly #options: ClockWatchOptions
  /** The true time. */
  #proof: TimeSample | undefined
  /** What a provider's answer said that does not agree with this clock. */
  #answer: TimeSample | undefined
  readonly #witnesses = new Map<string, TimeSample>()
  #off: TimeSample | undefined
  /** Requests in a row that agree with this clock, and not with the true time. */
  #contradictions = 0
  /** Of the last time that the clock was off and the witnesses were gone: one of them is enough then. */
  #formerEpochMs: number | undefined

  constructor(options: ClockWatchOptions) {
    this.#options = options
  }

  /** A request was proven, and its time lay so far ahead. */
  proven(aheadMs: number): void {
    if (Math.abs(aheadMs) > USUAL_WINDOW_MS) return
    const said = this.#heard(aheadMs)
    if (this.#contradictsProof(said)) return
    if (this.#off !== undefined) this.#end('requests are in time again')
    if (Math.abs(aheadMs) <= RIGHT_MS) this.#prove(said)
  }

  /** A provider has answered, with these headers. */
  answered({ date, age = '0' }: Headers): void {
    const aheadMs = Date.parse(date ?? '') + Number(age) * 1000 - this.#options.clock()
    if (Number.isNaN(aheadMs)) return
    const said = this.#heard(aheadMs)
    if (Math.abs(aheadMs) > RIGHT_MS) this.#answer = said
    else if (!this.#contradictsProof(said)) {
      if (this.#off !== undefined) this.#end('a provider’s clock agrees with it')
      this.#prove(said)
    }
  }

  /** A request is signed, but its time lies so far ahead. Returns whether that is this clock's fault. */
  stale(source: string, body: Uint8Array, aheadMs: number): boolean {
    if (Math.abs(aheadMs) <= RIGHT_MS) return false
    const said = this.#heard(aheadMs)
    if (agree(this.#proof, said)) this.#contradictions = 0
    const off = this.#current()
    if (off !== undefined) {
      if (!agree(off, said)) return false
      this.#off = said
      return true
    }
    const isOff = this.#isProven()
      ? this.#agreesWithProof(said)
      : this.#isAgreed(`${source} ${hash('sha256', body)}`, said)
    if (isOff) this.#begin(said)
    return isOff
  }

  /** Seconds that this clock is ahead of the true time, where it is off; negative: behind. */
  offSeconds(): number {
    const off = this.#current()
    return off === undefined ? 0 : -Math.round(this.#aheadMs(off) / 1000)
  }

  #isProven(): boolean {
    return this.#proof !== undefined && this.#options.now() - this.#proof.atMs <= PROOF_MS
  }

  /**
   * Where a clock was set back by an hour, what an old request says is in time. The time that was known before stands, until
   * several in a row speak against it and none for it: then this process did not run for a while.
   */
  #contradictsProof(said: TimeSample): boolean {
    if (!this.#isProven() || agree(this.#proof, said)) return false
    this.#contradictions++
    return this.#contradictions < WITNESSES
  }

  #agreesWithProof(said: TimeSample): boolean {
    return this.#proof !== undefined && agree(this.#proof, said) && Math.abs(this.#aheadMs(this.#proof)) > RIGHT_MS
  }

  #isAgreed(key: string, said: TimeSample): boolean {
    this.#witnesses.delete(key)
    this.#witnesses.set(key, said)
    for (const [oldest, { atMs }] of this.#witnesses) {
      if (this.#witnesses.size <= MAX_WITNESSES && said.atMs - atMs <= WITNESS_MS) break
      this.#witnesses.delete(oldest)
    }
    const agreeing = [...this.#witnesses.values()].filter((other) => agree(other, said)).length
    return agreeing >= this.#needed(said)
  }

  #needed(said: TimeSample): number {
    const { epochMs } = said
    if (this.#formerEpochMs !== undefined && Math.abs(this.#formerEpochMs - epochMs) <= AGREE_MS) return 1
    const isAnswered = agree(this.#answer, said) && said.atMs - (this.#answer?.atMs ?? 0) <= WITNESS_MS
    return isAnswered ? WITNESSES_WITH_ANSWER : WITNESSES
  }

  #heard(aheadMs: number): TimeSample {
    const atMs = this.#options.now()
    return { atMs, epochMs: this.#options.clock() + aheadMs - atMs }
  }

  #aheadMs({ epochMs }: TimeSample): number {
    return epochMs + this.#options.now() - this.#options.clock()
  }

  #prove(said: TimeSample): void {
    this.#proof = said
    this.#contradictions = 0
    this.#answer = undefined
    this.#witnesses.clear()
    this.#formerEpochMs = undefined
  }

  /** Whether it is off, as of now. */
  #current(): TimeSample | undefined {
    const off = this.#off
    if (off === undefined) return undefined
    if (Math.abs(this.#aheadMs(off)) <= RIGHT_MS) this.#end('it was set')
    else if (this.#options.now() - off.atMs > WITNESS_MS) {
      this.#formerEpochMs = off.epochMs
      this.#end('no request has said so for ten minutes')
    }
    return this.#off
  }

  #begin(said: TimeSample): void {
    this.#off = said
    this.#witnesses.clear()
    this.#options.log.error(
      { clock_off_seconds: this.offSeconds() },
      'the clock of this service is off: signed requests are stale for it, and get 503 until it is set right',
    )
  }

  #end(why: string): void {
    this.#off = undefined
    this.#options.log.info({ why }, 'the clock of this service is held for right again')
  }
}

const agree = (one: TimeSample | undefined, other: TimeSample): boolean =>
  one !== undefined && Math.abs(one.epochMs - other.epochMs) <= AGREE_MS
