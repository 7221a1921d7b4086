import { type Html, rendered } from './html.ts'

/** The bytes that a part of a page may have: what others wrote decides how many pieces there are, and how long each is. */
export class Budget {
  #left: number

  constructor(bytes: number) {
    this.#left = bytes
  }

  /** The piece if there is room for it; undefined: there is none, nor for anything after it. */
  take(piece: Html): Html | undefined {
    if (this.#left <= 0) return undefined
    const whole = rendered(piece)
    this.#left -= Buffer.byteLength(whole.toString())
    if (this.#left >= 0) return whole
    this.#left = 0
    return undefined
  }

  /** For what must follow a piece that was taken. */
  spend(piece: Html): void {
    this.#left -= Buffer.byteLength(piece.toString())
  }

  get isSpent(): boolean {
    return this.#left <= 0
  }
}

/** The first pieces that have room together; those after them are not made. */
export function fitting(pieces: Iterable<Html>, bytes: number): readonly Html[] {
  const budget = new Budget(bytes)
  const kept: Html[] = []
  for (const piece of pieces) {
    const taken = budget.take(piece)
    if (taken === undefined) break
    kept.push(taken)
  }
  return kept
}
