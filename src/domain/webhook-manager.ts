import type { Registration } from './provider.ts'

/** A webhook registered at the provider of one of our sources. */
export interface SourceRegistration extends Registration {
  readonly source: string
  /** Its URL is where this source receives. */
  readonly ours: boolean
}

/** What became of a registration that was asked for. */
export const REGISTRATION_ACTIONS = ['created', 'updated', 'unchanged'] as const

export interface RegistrationOutcome {
  readonly action: (typeof REGISTRATION_ACTIONS)[number]
  readonly registration: SourceRegistration
  /** Handed out by the provider, here and never again; nothing keeps or logs it. */
  readonly secret?: string
  /** What to do with the secret, or about one that was handed out before: one sentence or more. */
  readonly configure?: string
}

export interface RegistrationList {
  readonly items: readonly SourceRegistration[]
  /** Sources whose registrations could not be listed, and why. */
  readonly failed: readonly { readonly source: string; readonly detail: string }[]
}

/**
 * Registers webhooks at the providers, through their own APIs. Every method rejects with `HoldfastError`: `unknown_source`,
 * `not_configured`, `invalid_request`, `registration_not_found`, `provider_failed` (where the provider did not answer, the
 * request may have taken effect or not), `unavailable` (too much is under way for the source; nothing was sent). No message and
 * no registration that is given holds a key or a configured secret.
 */
export interface WebhookManager {
  /**
   * The registrations of one source, which rejects if its provider fails; or of all sources that are configured for it, with
   * those that fail named apart. Entries that cannot be read are left out.
   */
  list(source?: string): Promise<RegistrationList>
  /** Makes one more, also where there is one already. `url` is where the source receives, unless given. */
  create(
    source: string,
    changes: { readonly events?: readonly string[]; readonly url?: string },
  ): Promise<RegistrationOutcome>
  /** Changes what is given, and leaves the rest. */
  update(
    source: string,
    id: string,
    changes: { readonly events?: readonly string[]; readonly url?: string; readonly active?: boolean },
  ): Promise<SourceRegistration>
  remove(source: string, id: string): Promise<void>
  /**
   * Makes a registration only if none has the source's URL, and repairs one that is switched off or lacks events. Idempotent,
   * and serialised by source within this process. It cannot see whether the provider still has the right secret.
   */
  ensure(source: string, changes: { readonly events?: readonly string[] }): Promise<RegistrationOutcome>
}
