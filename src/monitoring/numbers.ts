import type { RequestOutcome } from '../domain/telemetry.ts'
import { Histogram } from './histogram.ts'

/** The numbers of a period that are sums. */
const SUMS = ['received', 'duplicates', 'handled', 'failed', 'dead', 'recovered', 'quarantined', 'expired'] as const
/** The numbers of a period that are distributions of times. */
const TIMES = ['ack', 'handler', 'queue'] as const

const MINUTES_OF_HOUR = 60
/** Bits of a whole number that the bit operators of JavaScript can work with. */
const MASK_BITS = 30

/** The minutes of an hour in which something happened. */
export class MinuteMask {
  #low: number
  #high: number

  constructor(low = 0, high = 0) {
    this.#low = low
    this.#high = high
  }

  /** False: it was set before. */
  set(minute: number): boolean {
    if (this.has(minute)) return false
    if (minute < MASK_BITS) this.#low |= 1 << minute
    else this.#high |= 1 << (minute - MASK_BITS)
    return true
  }

  has(minute: number): boolean {
    return (minute < MASK_BITS ? this.#low >> minute : this.#high >> (minute - MASK_BITS)) % 2 === 1
  }

  add(other: MinuteMask): void {
    this.#low |= other.#low
    this.#high |= other.#high
  }

  get isEmpty(): boolean {
    return this.#low === 0 && this.#high === 0
  }

  minutes(): readonly number[] {
    return Array.from({ length: MINUTES_OF_HOUR }, (_, minute) => minute).filter((minute) => this.has(minute))
  }

  toJSON(): readonly number[] {
    return [this.#low, this.#high]
  }
}

/** What was counted in one period: of one source or of several, by one process or by all. */
export class Numbers {
  /** Events that were stored, of any status and origin. */
  received = 0
  /** Webhooks whose event was stored before. */
  duplicates = 0
  /** Attempts that succeeded, and those that failed. */
  handled = 0
  failed = 0
  /** Deliveries whose last attempt failed. */
  dead = 0
  /** Tasks that ended by a poll. */
  recovered = 0
  /** Webhooks that were stored, but not understood. */
  quarantined = 0
  /** Tasks that ended at their deadline. */
  expired = 0
  /** Requests that were refused, by reason. */
  readonly refused = new Map<RequestOutcome, number>()
  /** From the arrival of a request to its acknowledgement. */
  readonly ack = new Histogram()
  /** The duration of attempts. */
  readonly handler = new Histogram()
  /** From the time at which a delivery was due to its start. */
  readonly queue = new Histogram()
  /** Only of hours: the minutes in which an authentic webhook came; of the service itself, those in which it ran. */
  readonly minutes = new MinuteMask()

  refuse(reason: RequestOutcome, n = 1): void {
    this.refused.set(reason, (this.refused.get(reason) ?? 0) + n)
  }

  add(other: Numbers): void {
    for (const name of SUMS) this[name] += other[name]
    for (const name of TIMES) this[name].add(other[name])
    for (const [reason, n] of other.refused) this.refuse(reason, n)
    this.minutes.add(other.minutes)
  }

  toText(): string {
    const written: Record<string, unknown> = {}
    for (const name of SUMS) if (this[name] > 0) written[name] = this[name]
    for (const name of TIMES) if (this[name].count > 0) written[name] = this[name]
    if (this.refused.size > 0) written.refused = Object.fromEntries(this.refused)
    if (!this.minutes.isEmpty) written.minutes = this.minutes
    return JSON.stringify(written)
  }

  static fromText(text: string): Numbers {
    const numbers = new Numbers()
    numbers.addText(text)
    return numbers
  }

  /** Adds numbers as `toText` writes them. Adds nothing of a text that is damaged. */
  addText(text: string): void {
    const read = parse(text)
    if (read === undefined) return
    for (const name of SUMS) this[name] += read[name] ?? 0
    for (const name of TIMES) {
      const times = read[name]
      if (times !== undefined) this[name].addWritten(times)
    }
    for (const [reason, n] of Object.entries(read.refused ?? {})) this.refuse(reason as RequestOutcome, n)
    if (read.minutes !== undefined) this.minutes.add(new MinuteMask(...read.minutes))
  }
}

type Written = Partial<Record<(typeof SUMS)[number], number>> &
  Partial<Record<(typeof TIMES)[number], readonly number[]>> & {
    readonly refused?: Readonly<Record<string, number>>
    readonly minutes?: readonly [number, number]
  }

function parse(text: string): Written | undefined {
  try {
    return JSON.parse(text) as Written
  } catch {
    return undefined
  }
}
