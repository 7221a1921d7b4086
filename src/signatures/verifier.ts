import type { Scheme } from '../domain/provider.ts'
import type { Verifier } from '../domain/verifier.ts'
import { compileHmac } from './hmac.ts'
import { compileSharedSecret } from './shared-secret.ts'

/** The verifier of one source. With no secret, nothing verifies. `url` is the public one, for schemes that sign it. */
export const compileVerifier = (scheme: Scheme, secrets: readonly string[], url: string | undefined): Verifier =>
  scheme.scheme === 'hmac' ? compileHmac(scheme, secrets, url) : compileSharedSecret(scheme, secrets)
