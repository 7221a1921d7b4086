import type { CallProvider } from './outbound.ts'
import type { Provider } from './provider.ts'
import type { Verifier } from './verifier.ts'

/** Tells whether an event type matches. `*` stands for any run of characters, dots included. */
export type TypeMatcher = (type: string) => boolean

/** One configured sender, ready to receive. */
export interface Source extends Verifier {
  readonly name: string
  readonly provider: Provider
  /** The patterns of `SOURCE_<NAME>_TYPES`; `['*']` when all are accepted. */
  readonly types: readonly string[]
  readonly accepts: TypeMatcher
  /** Where the provider reaches it, where `PUBLIC_URL` is known. */
  readonly url: string | undefined
  /** What tells a duplicate: the id, or a known body as well. */
  readonly dedupe: 'id' | 'body'
  /** Whether an event that comes again has its dead deliveries run again. */
  readonly redeliveryReplaysDead: boolean
  /** Headers that carry a secret and so are never stored. */
  readonly secretHeaders: readonly string[]
}

/** A source, and what it takes to call its provider's API. */
export interface ConnectedSource extends Source {
  /** Undefined: neither a key nor a URL of its own is configured, or the provider has no API that Holdfast knows. */
  readonly call: CallProvider | undefined
  /** The newest of its secrets, for providers that are sent it. */
  readonly secret: string
  /** `SOURCE_<NAME>`, for messages. */
  readonly variable: string
  /** Takes the API key and every secret of the source out of a text. */
  readonly redact: (text: string) => string
}

/** How a source is doing. */
export interface SourceState {
  readonly lastWebhookAtMs: number | undefined
  /** Tasks whose end had to be polled for, within the last hour. */
  readonly recovered: number
  /** Of the calls to its provider; null: its provider cannot be asked. */
  readonly breaker: 'closed' | 'open' | 'half_open' | null
  /** Since when its tasks end by poll alone. */
  readonly silentSinceMs: number | undefined
}
