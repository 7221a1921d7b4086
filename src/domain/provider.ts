import type { TSchema } from '@sinclair/typebox'
import type { EventFields, Headers } from './event.ts'

/**
 * HMAC over a template, compared in constant time. The header bytes that the template names go into the signed text
 * verbatim.
 */
export interface HmacScheme {
  readonly scheme: 'hmac'
  readonly algorithm: 'sha1' | 'sha256' | 'sha512'
  /**
   * How a configured secret becomes the key: as UTF-8; as base64 or hex; `whsec`: base64 after an optional `whsec_`
   * (Standard Webhooks); `whsec-or-utf8`: base64 after `whsec_`, UTF-8 without it (OpenAI).
   */
  readonly key: 'utf8' | 'base64' | 'hex' | 'whsec' | 'whsec-or-utf8'
  /** Literal text with `{id}`, `{timestamp}`, `{body}`, `{url}` (the configured public URL) and `{header:name}`. */
  readonly signed: string
  /** Where `{id}` comes from: a header, or the first of several that is there. */
  readonly id?: string | readonly string[]
  readonly signature: {
    readonly header: string | readonly string[]
    readonly encoding: 'hex' | 'base64'
    /** Between several entries of one header value, e.g. `" "` or `","`. */
    readonly separator?: string
    /** Between an entry's label and its value, e.g. `","` in `v1,…` or `"="` in `v1=…`. Absent: entries have no label. */
    readonly labelSeparator?: string
    /** Labels whose value is such a signature; entries with another label are passed over. */
    readonly labels?: readonly string[]
  }
  readonly timestamp?: {
    /** A header (or the first of several that is there), a label inside the signature header, or a path in the body. */
    readonly from:
      | { readonly header: string | readonly string[] }
      | { readonly label: string }
      | { readonly body: string }
    readonly unit: 's' | 'ms' | 'rfc3339'
    readonly pastSeconds: number
    /** `null`: no bound. */
    readonly futureSeconds: number | null
  }
}

/** A secret that is sent along as it is. */
export interface SharedSecretScheme {
  readonly scheme: 'shared-secret'
  readonly from:
    | { readonly header: string; readonly prefix?: string }
    /** The password of HTTP Basic; any user name. */
    | { readonly basic: 'password' }
    | { readonly query: string }
    /** A dotted path in the JSON body, which is then parsed before anything is proven. */
    | { readonly body: string }
}

export type Scheme = HmacScheme | SharedSecretScheme

/** `header:<name>` or `body:<dotted path>`; `body:` alone is the whole body. */
export type Selector = `header:${string}` | `body:${string}`

/** Where an event's fields stand; of several selectors the first that finds something counts. */
export interface EventMap {
  /** Absent, or finding nothing: the SHA-256 of the body, so that the same body twice is a duplicate. */
  readonly id?: Selector | readonly Selector[]
  readonly type: Selector | readonly Selector[]
  /** RFC 3339, or seconds or milliseconds since the epoch. */
  readonly created_at?: Selector | readonly Selector[]
  /** Absent: the whole body. */
  readonly data?: Selector | readonly Selector[]
  readonly api_version?: Selector | readonly Selector[]
  readonly task?: Selector | readonly Selector[]
}

/** Reads an event by code where a map does not do. Pure: it runs again, in another thread, for each attempt. */
export type EventReader = (request: { readonly headers: Headers; readonly body: unknown }) => {
  readonly [Field in keyof EventFields]?: unknown
}

/** A kind of sender. */
export interface Provider {
  /** What `SOURCE_<NAME>_PROVIDER` names. */
  readonly name: string
  /** Media types that it sends; default `application/json`. A request without a content type is taken as one of them. */
  readonly contentTypes?: readonly string[]
  readonly verify: Scheme
  /** Bytes of the shortest key that the provider hands out or lets one choose; default 24 for `hmac`, 1 for a shared secret. */
  readonly minKeyBytes?: number
  readonly event: EventMap | EventReader
  /** Event type → schema of its `data`; an event that is not as its schema says is quarantined. */
  readonly schemas?: Readonly<Record<string, TSchema>>
}

/** Adds types, nothing else: a plain object of the same shape serves too. */
export const defineProvider = <const P extends Provider>(provider: P): P => provider
