import type { Readers } from '../domain/readers.ts'

/** What a reader thread is asked for: a method of `Readers`, without its provider, which is the thread's own. */
export interface ReaderCall {
  readonly name: keyof Readers
  readonly args: readonly unknown[]
  /** Bytes that its result may take, as the thread hands it over. */
  readonly maxBytes: number
  /** Values that it may hold, as `hasMoreValues` counts them. */
  readonly maxValues: number
}

export type FromReader =
  | { readonly kind: 'ready' }
  /** By `v8.serialize`. */
  | { readonly kind: 'read'; readonly result: Uint8Array }
  /** The kind of the error alone: a message may hold a piece of what was read. `words`: of one that read nothing that came. */
  | { readonly kind: 'failed'; readonly error: string; readonly words?: string }
  | { readonly kind: 'too_large' }
