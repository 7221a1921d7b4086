import { type TObject, Type } from '@sinclair/typebox'
import type { Headers } from '../domain/event.ts'
import type { AnyScheme } from '../domain/provider.ts'
import type { Verifier } from '../domain/verifier.ts'

/**
 * A signature scheme: everything that Holdfast knows about one way to prove that a request is authentic. `Settings` is what a provider
 * module writes in `verify`. Each scheme is one file in `signatures`, and one entry in `registry.ts`.
 */
export interface SignatureScheme<Settings extends AnyScheme = AnyScheme> {
  /** The value of `verify.scheme`. */
  readonly name: string
  /** The schema of `Settings`. */
  readonly schema: TObject
  /** Bytes of the shortest key, unless the provider has a `minKeyBytes` of its own. */
  readonly minKeyBytes: number
  /** Faults of settings that match the schema: why they could verify no request, or would prove too little; one sentence each. */
  faults(settings: Settings): readonly string[]
  /** The key that a configured secret encodes; undefined if the secret does not have the form that the scheme needs. */
  keyOf(settings: Settings, secret: string): Buffer | undefined
  /** The form of a valid secret, for messages: `a secret is not <form>`. */
  secretForm(settings: Settings): string
  /** Headers that carry the secret in the clear, in lower case. They are never stored. */
  secretHeaders(settings: Settings): readonly string[]
  /** Whether the signature covers the URL of the webhook, so that `PUBLIC_URL` must be set. */
  signsUrl(settings: Settings): boolean
  /**
   * A verifier for one source. A secret that encodes no key verifies nothing. `url` is the source's public URL. Throws `TypeError` for
   * settings with faults.
   */
  compile(settings: Settings, secrets: readonly string[], url: string | undefined): Verifier
  /**
   * The headers and query that the provider adds to a message, for samples and tests. Throws `TypeError` for a secret that does not
   * have the form that the scheme needs.
   */
  sign(settings: Settings, secret: string, message: Message): SignedParts
  /** The values that the scheme expects in the body, by dotted path. They are added before the body is signed. */
  bodyFields(settings: Settings, secret: string, nowMs: number): Readonly<Record<string, unknown>>
}

/** A request that is to be signed. */
export interface Message {
  readonly id: string
  readonly body: Buffer
  /** Headers that the scheme may sign, for example those that carry fields of the event. */
  readonly headers?: Headers
  /** The public URL, for schemes that sign it. */
  readonly url?: string
  readonly nowMs: number
}

/** What signing adds to a request. */
export interface SignedParts {
  readonly headers: Readonly<Record<string, string>>
  /** The query string without its `?`; empty unless the scheme puts the secret into the query. */
  readonly query: string
}

/** Options of a schema that allows no other properties. */
export const closed = { additionalProperties: false }
export const Text = Type.String({ minLength: 1 })
export const HeaderName = Type.String({
  pattern: "^[a-z0-9!#$%&'*+.^_`|~-]+$",
  description: 'a header name in lower case',
})
