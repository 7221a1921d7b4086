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
  /** By bucket, from `MIN_BUCKET` on. Undefined: nothing was counted. */
  #buckets: Float64Array | undefined
  #count = 0
  #sumSeconds = 0

  get count(): number {
    return this.#count
  }

  observe(seconds: number): void {
    this.#addTo(bucketOf(seconds), 1)
    this.#sumSeconds += seconds > 0 ? seconds : 0
  }

  add(other: Histogram): void {
    for (const [bucket, n] of other.#counted()) this.#addTo(bucket, n)
    this.#sumSeconds += other.#sumSeconds
  }

  /** Undefined: nothing was counted. */
  meanSeconds(): number | undefined {
    return this.#count === 0 ? undefined : this.#sumSeconds / this.#count
  }

  /** The time that the given share of all times does not exceed; undefined: nothing was counted. */
  quantileSeconds(share: number): number | undefined {
    let left = Math.max(1, Math.ceil(share * this.#count))
    for (const [bucket, n] of this.#counted()) {
      left -= n
      if (left <= 0) return GROWTH ** (bucket - 0.5)
    }
    return undefined
  }

  /** The sum in µs, and then each bucket with its number. */
  toJSON(): readonly number[] {
    const cells = [Math.round(this.#sumSeconds * 1e6)]
    for (const [bucket, n] of this.#counted()) cells.push(bucket, n)
    return cells
  }

  /** Adds what `toJSON` has written. */
  addWritten(cells: readonly number[]): void {
    this.#sumSeconds += (cells[0] ?? 0) / 1e6
    for (let at = 1; at + 1 < cells.length; at += 2) this.#addTo(cells[at] ?? 0, cells[at + 1] ?? 0)
  }

  #addTo(bucket: number, n: number): void {
    this.#buckets ??= new Float64Array(MAX_BUCKET - MIN_BUCKET + 1)
    const place = bucket - MIN_BUCKET
    this.#buckets[place] = (this.#buckets[place] ?? 0) + n
    this.#count += n
  }

  /** The buckets that have something, in order. */
  #counted(): [bucket: number, n: number][] {
    const counted: [number, number][] = []
    const buckets = this.#buckets
    if (buckets === undefined) return counted
    for (let place = 0; place < buckets.length; place++) {
      const n = buckets[place] ?? 0
      if (n > 0) counted.push([place + MIN_BUCKET, n])
    }
    return counted
  }
}

/** A bucket holds the times above the end of the one before, and up to its own: `GROWTH ** bucket` seconds. */
const bucketOf = (seconds: number): number =>
  seconds > 0
    ? Math.min(MAX_BUCKET, Math.max(MIN_BUCKET, Math.ceil(Math.log2(seconds) * BUCKETS_PER_OCTAVE)))
    : MIN_BUCKET
