import type { Registration } from './provider.ts'

/** A webhook registered at the provider of one of our sources. */
export interface SourceRegistration extends Registration {
  readonly source: string
  /** Whether its URL is the one at which this source receives webhooks. */
  readonly ours: boolean
}

/** What `create` or `ensure` has done with the registration. */
export const REGISTRATION_ACTIONS = ['created', 'updated', 'unchanged'] as const

export interface RegistrationOutcome {
  readonly action: (typeof REGISTRATION_ACTIONS)[number]
  readonly registration: SourceRegistration
  /** The secret that the provider has made. It is shown only here; Holdfast does not store or log it. */
  readonly secret?: string
  /** One sentence or more: what the operator should do with the secret, or if an earlier secret is lost. */
  readonly configure?: string
}

export interface RegistrationList {
  readonly items: readonly SourceRegistration[]
  /** Sources whose registrations could not be listed, and why. */
  readonly failed: readonly { readonly source: string; readonly detail: string }[]
}

/**
 * Registers webhooks at the providers, through their own APIs. The methods reject with a `HoldfastError`: `unknown_source`,
 * `not_configured`, `invalid_request`, `registration_not_found`, `provider_failed` (if the provider did not answer, the request may
 * have taken effect or not), `unavailable` (too many changes of the source are queued; nothing was sent). No error message and no
 * returned registration contains a key or a configured secret.
 */
export interface WebhookManager {
  /**
   * The registrations of one source; rejects if its provider fails. Without `source`: the registrations of all sources whose
   * provider can be called, and in `failed` the sources whose provider failed. Leaves out entries that cannot be read.
   */
  list(source?: string): Promise<RegistrationList>
  /** Makes one more registration, even if one exists. Default of `url`: the URL at which the source receives webhooks. */
  create(
    source: string,
    changes: { readonly events?: readonly string[]; readonly url?: string },
  ): Promise<RegistrationOutcome>
  /** Changes the given fields only. */
  update(
    source: string,
    id: string,
    changes: { readonly events?: readonly string[]; readonly url?: string; readonly active?: boolean },
  ): Promise<SourceRegistration>
  remove(source: string, id: string): Promise<void>
  /**
   * Makes a registration if none has the source's URL; switches an existing one on and adds missing events. Idempotent. Within this
   * process, calls for the same source run one after the other. Cannot see whether the provider still has the right secret.
   */
  ensure(source: string, changes: { readonly events?: readonly string[] }): Promise<RegistrationOutcome>
}
