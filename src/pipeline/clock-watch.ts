import { hash } from 'node:crypto'
import type { Logger } from 'pino'
import type { Clock } from '../domain/clock.ts'
import type { Headers } from '../domain/event.ts'

/** A sender whose time differs by at most this much shows that the service's clock is right. */
const RIGHT_MS = 60_000
/** If a sender's time differs by more, only a provider with a wide window accepts it. Such a sample proves nothing about the clock. */
const USUAL_WINDOW_MS = 5 * 60_000
/** Two samples agree if they differ by at most this much. */
const AGREE_MS = 60_000
/** How long a witness counts, and how long the clock counts as off after the last witness. */
const WITNESS_MS = 10 * 60_000
/** How long a proof of the true time holds: a monotonic clock drifts by seconds in a day. */
const PROOF_MS = 24 * 3_600_000
/** How many different requests have to agree: without other evidence, and if a provider's answer agrees with them. */
const WITNESSES = 5
const WITNESSES_WITH_ANSWER = 2
/** Witnesses that are kept. */
const MAX_WITNESSES = 64

/** A time that a sender or a provider gave. `epochMs`: that time minus the monotonic clock; `atMs`: when it came, by the monotonic clock. */
interface TimeSample {
  readonly epochMs: number
  readonly atMs: number
}

interface ClockWatchOptions {
  /** The clock that is watched. */
  readonly clock: Clock
  /** Monotonic milliseconds. */
  readonly now: () => number
  readonly log: Logger
}

/**
 * Decides whether a stale request is a replay of an old one, or the service's own clock is off. Both look the same: a request
 * that is signed, and too old or too new. So the watch compares senders' times with a monotonic clock, which cannot be set:
 *
 * - After a request was proven in time, or a provider's answer has shown the time, the true time is known for a day, even if the
 *   clock is set meanwhile. A stale request then is evidence against the clock only if it agrees with the true time; a replay
 *   is as far behind the true time as it is old. So replays never are evidence while the clock is right, in any number; and if
 *   the clock is set wrongly, the first request is enough.
 * - If nothing has shown the time yet, because the process started while the clock was off, `WITNESSES` different bodies within
 *   ten minutes have to agree to a minute; two are enough if the `Date` of a provider's answer agrees too. An attacker would
 *   need that many signed requests that were recorded together, and no genuine request may have come since the start. The first
 *   genuine request or answer ends the state, and an attacker cannot bring it back.
 *
 * While the clock counts as off, the service answers 503 only to stale requests that agree with the witnesses; other stale
 * requests get 401 as always. A request is never accepted because of it. The state ends when the clock is set right, ten minutes
 * after the last witness, or with the first request that is proven: one whose time differs from the clock by at most five
 * minutes and agrees with the true time, if that was known before.
 */
export class ClockWatch {
  readonly #options: ClockWatchOptions
  /** The true time. */
  #proof: TimeSample | undefined
  /** The last time that a provider's answer gave and that does not agree with the clock. */
  #answer: TimeSample | undefined
  readonly #witnesses = new Map<string, TimeSample>()
  #off: TimeSample | undefined
  /** How many samples in a row agree with the clock but not with the known true time. */
  #contradictions = 0
  /** The true time of the last state that ended without a new witness: one witness that agrees begins it again. */
  #formerEpochMs: number | undefined

  constructor(options: ClockWatchOptions) {
    this.#options = options
  }

  /** Takes note of a request that was proven; `aheadMs`: how far its time is ahead of the clock. */
  proven(aheadMs: number): void {
    if (Math.abs(aheadMs) > USUAL_WINDOW_MS) return
    const sample = this.#sampleOf(aheadMs)
    if (this.#contradictsProof(sample)) return
    if (this.#off !== undefined) this.#end('requests are in time again')
    if (Math.abs(aheadMs) <= RIGHT_MS) this.#prove(sample)
  }

  /** Takes note of the headers of a provider's answer. */
  answered({ date, age = '0' }: Headers): void {
    const aheadMs = Date.parse(date ?? '') + Number(age) * 1000 - this.#options.clock()
    if (Number.isNaN(aheadMs)) return
    const sample = this.#sampleOf(aheadMs)
    if (Math.abs(aheadMs) > RIGHT_MS) this.#answer = sample
    else if (!this.#contradictsProof(sample)) {
      if (this.#off !== undefined) this.#end('a provider’s clock agrees with it')
      this.#prove(sample)
    }
  }

  /** Takes note of a signed request whose time is too far ahead or behind. Returns whether the service's clock is at fault. */
  stale(source: string, body: Uint8Array, aheadMs: number): boolean {
    if (Math.abs(aheadMs) <= RIGHT_MS) return false
    const sample = this.#sampleOf(aheadMs)
    if (agree(this.#proof, sample)) this.#contradictions = 0
    const off = this.#current()
    if (off !== undefined) {
      if (!agree(off, sample)) return false
      this.#off = sample
      return true
    }
    const isOff = this.#isProven()
      ? this.#agreesWithProof(sample)
      : this.#isAgreed(`${source} ${hash('sha256', body)}`, sample)
    if (isOff) this.#begin(sample)
    return isOff
  }

  /** How many seconds the clock is ahead of the true time; negative: behind; 0: it does not count as off. */
  offSeconds(): number {
    const off = this.#current()
    return off === undefined ? 0 : -Math.round(this.#aheadMs(off) / 1000)
  }

  #isProven(): boolean {
    return this.#proof !== undefined && this.#options.now() - this.#proof.atMs <= PROOF_MS
  }

  /**
   * If the clock was set back by an hour, an hour-old request looks in time. So the true time that was known before counts until
   * several samples in a row contradict it and none agrees with it: then the process was suspended for a while.
   */
  #contradictsProof(sample: TimeSample): boolean {
    if (!this.#isProven() || agree(this.#proof, sample)) return false
    this.#contradictions++
    return this.#contradictions < WITNESSES
  }

  #agreesWithProof(sample: TimeSample): boolean {
    return this.#proof !== undefined && agree(this.#proof, sample) && Math.abs(this.#aheadMs(this.#proof)) > RIGHT_MS
  }

  #isAgreed(key: string, sample: TimeSample): boolean {
    this.#witnesses.delete(key)
    this.#witnesses.set(key, sample)
    for (const [oldest, { atMs }] of this.#witnesses) {
      if (this.#witnesses.size <= MAX_WITNESSES && sample.atMs - atMs <= WITNESS_MS) break
      this.#witnesses.delete(oldest)
    }
    const agreeing = [...this.#witnesses.values()].filter((other) => agree(other, sample)).length
    return agreeing >= this.#needed(sample)
  }

  #needed(sample: TimeSample): number {
    const { epochMs } = sample
    if (this.#formerEpochMs !== undefined && Math.abs(this.#formerEpochMs - epochMs) <= AGREE_MS) return 1
    const isAnswered = agree(this.#answer, sample) && sample.atMs - (this.#answer?.atMs ?? 0) <= WITNESS_MS
    return isAnswered ? WITNESSES_WITH_ANSWER : WITNESSES
  }

  #sampleOf(aheadMs: number): TimeSample {
    const atMs = this.#options.now()
    return { atMs, epochMs: this.#options.clock() + aheadMs - atMs }
  }

  #aheadMs({ epochMs }: TimeSample): number {
    return epochMs + this.#options.now() - this.#options.clock()
  }

  #prove(sample: TimeSample): void {
    this.#proof = sample
    this.#contradictions = 0
    this.#answer = undefined
    this.#witnesses.clear()
    this.#formerEpochMs = undefined
  }

  /** The evidence that the clock is off now; undefined: it does not count as off. */
  #current(): TimeSample | undefined {
    const off = this.#off
    if (off === undefined) return undefined
    if (Math.abs(this.#aheadMs(off)) <= RIGHT_MS) this.#end('it was set')
    else if (this.#options.now() - off.atMs > WITNESS_MS) {
      this.#formerEpochMs = off.epochMs
      this.#end('no request has shown that it is off for ten minutes')
    }
    return this.#off
  }

  #begin(sample: TimeSample): void {
    this.#off = sample
    this.#witnesses.clear()
    this.#options.log.error(
      { clock_off_seconds: this.offSeconds() },
      'the clock of this service is off: signed requests look stale, and get 503 until the clock is set right',
    )
  }

  #end(why: string): void {
    this.#off = undefined
    this.#options.log.info({ why }, 'the clock of this service counts as right again')
  }
}

const agree = (one: TimeSample | undefined, other: TimeSample): boolean =>
  one !== undefined && Math.abs(one.epochMs - other.epochMs) <= AGREE_MS
