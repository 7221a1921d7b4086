/** Bytes that are kept of the outermost object, and of all within it together. */
const OUTER_BYTES = 32_768
const INNER_BYTES = 16_384
/** Quotes and commas of one. */
const ENTRY_BYTES = 8
/** Names that are told of what was left out, and characters of each. */
const MAX_OMITTED = 32
const MAX_PATH_LENGTH = 128

/** An object that is being read, and its name in the one around it. */
export interface Place {
  readonly name: string
  readonly value: Record<string, unknown>
}

/** How much is kept, and what was not. What stands deep takes no room from what stands at the top. */
export class Budget {
  readonly omitted: string[] = []
  #outerBytes = OUTER_BYTES
  #innerBytes = INNER_BYTES

  allows(depth: number, bytes: number): boolean {
    const cost = bytes + ENTRY_BYTES
    if (cost > (depth <= 1 ? this.#outerBytes : this.#innerBytes)) return false
    if (depth <= 1) this.#outerBytes -= cost
    else this.#innerBytes -= cost
    return true
  }

  /** `places`: those that the value stands in. */
  leaveOut(places: readonly Place[], name: string): void {
    if (this.omitted.length >= MAX_OMITTED) return
    const path = [...places.slice(1).map((place) => place.name), name].join('.')
    this.omitted.push(path.slice(0, MAX_PATH_LENGTH))
  }
}
