import type { Registration } from './provider.ts'

/** A webhook registered at the provider of one of our sources. */
export interface SourceRegistration extends Registration {
  readonly source: string
  /** Its URL is where this source receives. */
  readonly ours: boolean
}

export interface Registered {
  readonly action: 'created' | 'updated' | 'unchanged'
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
 * Webhooks at the providers, through their own APIs. Every method rejects with `HoldfastError`: `unknown_source`,
 * `not_configured`, `invalid_request`, `registration_not_found`, `provider_failed` (nothing is known of what became of the
 * request where the provider did not answer), `unavailable` (too much is under way for the source; nothing was sent). No
 * message, and nothing that is told of a registration, holds a key or a configured secret.
 */
export interface Registrar {
  /**
   * Of one source, which rejects if it fails; or of all that are configured for it, those that fail named apart. Leaves out
   * what cannot be read.
   */
  list(source?: string): Promise<RegistrationList>
  /** Makes one more, whatever there is. `url` is where the source receives, unless given. */
  create(source: string, wish: { readonly events?: readonly string[]; readonly url?: string }): Promise<Registered>
  /** Changes what is given, and leaves the rest. */
  update(
    source: string,
    id: string,
    wish: { readonly events?: readonly string[]; readonly url?: string; readonly active?: boolean },
  ): Promise<SourceRegistration>
  remove(source: string, id: string): Promise<void>
  /**
   * Has the source registered: makes a registration only if none has its URL, and mends one that is switched off or lacks
   * events. Idempotent, and serialised by source within this process. Whether the provider still has the right secret
   * cannot be seen.
   */
  ensure(source: string, wish: { readonly events?: readonly string[] }): Promise<Registered>
}
