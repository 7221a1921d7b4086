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
  /** What to do with the secret: one sentence or more. */
  readonly configure?: string
}

/**
 * Webhooks at the providers, through their own APIs. Every method rejects with `HoldfastError`: `unknown_source`,
 * `not_configured`, `invalid_request`, `registration_not_found`, `provider_failed` (nothing is known of what became of the
 * request where the provider did not answer). No message holds a key or a secret.
 */
export interface Registrar {
  /** Of one source, or of all that are configured for it. All of them or none: one provider that fails, fails the list. */
  list(source?: string): Promise<readonly SourceRegistration[]>
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
