/** Each bucket ends at this many times the end of the one before: a quantile is at most 9 % off. */
const GROWTH = 2 ** 0.25
const BUCKETS_PER_OCTAVE = 4
/** The first and the last bucket also have what is shorter than 8 µs and what is longer than 97 days. */
const MIN_BUCKET = -68
const MAX_BUCKET = 92

/**
 * How often times of each length were counted. The buckets are the same in all histograms, so that two are merged by adding their
 * buckets, and a quantile of any period is exact to the width of a bucket.
 */
export class Histogram {
  readonly #buckets: Map<number, number>
  #count = 0
  #sumSeconds: number

  constructor(buckets: Iterable<readonly [bucket: number, n: number]> = [], sumSeconds = 0) {
    this.#buckets = new Map(buckets)
    this.#sumSeconds = sumSeconds
    for (const n of this.#buckets.values()) this.#count += n
  }

  get count(): number {
    return this.#count
  }

  observe(seconds: number): void {
    const bucket = bucketOf(seconds)
    this.#buckets.set(bucket, (this.#buckets.get(bucket) ?? 0) + 1)
    this.#count++
    this.#sumSeconds += Math.max(0, seconds)
  }

  add(other: Histogram): void {
    for (const [bucket, n] of other.#buckets) this.#buckets.set(bucket, (this.#buckets.get(bucket) ?? 0) + n)
    this.#count += other.#count
    this.#sumSeconds += other.#sumSeconds
  }

  /** Undefined: nothing was counted. */
  meanSeconds(): number | undefined {
    return this.#count === 0 ? undefined : this.#sumSeconds / this.#count
  }

  /** The time that the given share of all times does not exceed; undefined: nothing was counted. */
  quantileSeconds(share: number): number | undefined {
    let left = Math.max(1, Math.ceil(share * this.#count))
    for (const bucket of [...this.#buckets.keys()].sort((a, b) => a - b)) {
      left -= this.#buckets.get(bucket) ?? 0
      if (left <= 0) return GROWTH ** (bucket - 0.5)
    }
    return undefined
  }

  /** The sum in µs, and then each bucket with its number. */
  toJSON(): readonly number[] {
    return [Math.round(this.#sumSeconds * 1e6), ...[...this.#buckets].flat()]
  }

  static fromJSON([sumMicroseconds = 0, ...cells]: readonly number[]): Histogram {
    const buckets: [number, number][] = []
    for (let at = 0; at + 1 < cells.length; at += 2) buckets.push([cells[at] ?? 0, cells[at + 1] ?? 0])
    return new Histogram(buckets, sumMicroseconds / 1e6)
  }
}

/** A bucket holds the times above the end of the one before, and up to its own: `GROWTH ** bucket` seconds. */
const bucketOf = (seconds: number): number =>
  seconds > 0
    ? Math.min(MAX_BUCKET, Math.max(MIN_BUCKET, Math.ceil(Math.log2(seconds) * BUCKETS_PER_OCTAVE)))
    : MIN_BUCKET
