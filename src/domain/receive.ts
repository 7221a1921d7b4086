import type { Headers } from './event.ts'
import type { Source } from './source.ts'

/** One request to a source, whole. */
export interface Incoming {
  readonly source: Source
  readonly headers: Headers
  readonly body: Buffer
  /** The query string without its `?`. */
  readonly query: string
  /** For logs. */
  readonly requestId: string
}

/** What the provider is to be told; see `http/webhooks.ts` for the statuses. */
export type Received =
  | {
      readonly outcome: 'accepted' | 'unhandled' | 'quarantined' | 'duplicate' | 'conflict' | 'superseded'
      readonly uid: string
    }
  | {
      readonly outcome:
        | 'signature_missing'
        | 'signature_malformed'
        | 'signature_mismatch'
        | 'timestamp_stale'
        | 'malformed'
    }
  | { readonly outcome: 'unavailable' }

/** The door: resolves with a uid only after the event is on disk. Never rejects for what was sent. */
export type Receive = (incoming: Incoming) => Promise<Received>
