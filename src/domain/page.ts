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
