/** `cursor` is the `nextCursor` of an earlier page; a store rejects any other text with `invalid_request`. */
export interface PageRequest {
  readonly limit: number
  readonly cursor?: string
}

export interface Page<Item> {
  readonly items: readonly Item[]
  /** Undefined: this is the last page. */
  readonly nextCursor: string | undefined
}

/** A page of a list for which much may have to be read. */
export interface SearchPage<Item> extends Page<Item> {
  /** The search ended with its time, and this is the time of receipt of the last event that it read; `nextCursor` goes on. */
  readonly scannedUntilMs?: number
}
