import type { TypeMatcher } from '../pipeline/type-pattern.ts'
import type { Provider } from './provider.ts'
import type { Signature } from './verifier.ts'

/** One configured sender, ready to receive. */
export interface Source extends Signature {
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
