import type { DedupeMode } from './config.ts'
import type { CallProvider } from './outbound.ts'
import type { Provider } from './provider.ts'
import type { ExpectEvery } from './source-health.ts'
import type { StuckTasks } from './task-store.ts'
import type { Verifier } from './verifier.ts'

/** Whether an event type matches. In patterns `*` stands for any characters, also dots. */
export type TypeMatcher = (type: string) => boolean

/** One configured sender, ready to receive. */
export interface Source extends Verifier {
  readonly name: string
  readonly provider: Provider
  /** The patterns of `SOURCE_<NAME>_TYPES`; `['*']` when all are accepted. */
  readonly types: readonly string[]
  readonly accepts: TypeMatcher
  /** The URL that the provider calls; undefined if `PUBLIC_URL` is not set. */
  readonly url: string | undefined
  /** How duplicates are recognized: by the id, or also by the body. */
  readonly dedupe: DedupeMode
  /** Paths in the payload whose values are indexed. */
  readonly keys: readonly string[]
  /** Whether the dead deliveries of an event run again when the event comes again. */
  readonly redeliveryReplaysDead: boolean
  /** Headers that carry a secret and so are never stored. */
  readonly secretHeaders: readonly string[]
}

/** A source with access to its provider's API. */
export interface ConnectedSource extends Source {
  /** Undefined: neither an API key nor an API URL is configured, or the provider's module has no API. */
  readonly call: CallProvider | undefined
  /** The newest of its secrets, for providers to which Holdfast sends the secret. */
  readonly secret: string
  /** `SOURCE_<NAME>`, for messages. */
  readonly variable: string
  /** Removes the API key and every secret of the source from a text. */
  readonly redact: (text: string) => string
}

/** How a source is connected: facts of its provider's module and of its configuration. Nothing in it is secret. */
export interface SourceSetup {
  /** `SOURCE_<NAME>`. */
  readonly variable: string
  /** How a person registers its webhook at the provider; empty: the module does not tell. */
  readonly steps: readonly string[]
  /** What becomes of webhooks that were refused or did not arrive; undefined: the module does not tell. */
  readonly missed: string | undefined
  /** After how long without a webhook it counts as silent. */
  readonly expectEvery: ExpectEvery
  /** Whether Holdfast can register it; `not_configured`: the API's key or URL is missing. */
  readonly registrations: 'no_api' | 'not_configured' | 'ready'
  /** The provider makes a secret with each registration, and shows it once. */
  readonly makesSecret: boolean
  /** Of the provider's own schemas. */
  readonly types: readonly string[]
  /** Why no sample can be sent; undefined: one can. */
  readonly sampleFault: string | undefined
}

/** An event that the service makes as its provider would. */
export interface SampleOrder {
  readonly source: string
  readonly type: string
  /** Absent: data that the schema of the type asks for. */
  readonly data?: Readonly<Record<string, unknown>>
  readonly requestId: string
}

/**
 * Makes a sample, signs it by the newest secret, and receives it as a webhook: it is verified, read, validated, stored, and handled by
 * the handlers that want it. It counts neither for the source's secrets nor for its silence. Resolves with its uid. Rejects with
 * `unknown_source`, `not_configured`, `invalid_request` if the provider has no event of this type, or `unavailable`.
 */
export type SendSample = (order: SampleOrder) => Promise<string>

/** How one secret of a source has verified webhooks of this process. */
export interface SecretUse {
  /** Its place among the secrets of the source, from 1: the newest. */
  readonly place: number
  /** How many webhooks it has verified since `sinceMs`. */
  readonly verified: number
  readonly lastVerifiedAtMs: number | undefined
  /** Since when this process has the secret. */
  readonly sinceMs: number
}

/** The states of the circuit breaker of the calls to one provider. */
export const BREAKER_STATES = ['closed', 'open', 'half_open'] as const
export type BreakerState = (typeof BREAKER_STATES)[number]

/** A provider whose API fails. */
export interface ProviderOutage {
  readonly sinceMs: number
  /** How the last call failed, in Holdfast's words. */
  readonly cause: string
  /** In how long one call is tried; 0: as soon as a task is due. */
  readonly retryInMs: number
}

/** The state of a source for operators. */
export interface SourceState {
  readonly lastWebhookAtMs: number | undefined
  /** How many tasks of the last hour ended by a poll and not by a webhook. */
  readonly recovered: number
  /** The circuit breaker of the calls to its provider; null: the provider cannot be called. */
  readonly breaker: BreakerState | null
  /** Why the breaker is not closed; undefined: it is closed, or there is none. */
  readonly outage?: ProviderOutage | undefined
  /** Since when no webhook has arrived and polls alone have ended its tasks; undefined: its webhooks arrive. */
  readonly silentSinceMs: number | undefined
  /** Tasks that should have been over an hour ago, and whose polls fail. */
  readonly stuck?: StuckTasks | undefined
}
