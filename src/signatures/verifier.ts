import type { Scheme } from '../domain/provider.ts'
import type { Signature } from '../domain/verifier.ts'
import { compileHmac } from './hmac.ts'
import { compileSharedSecret } from './shared-secret.ts'

/** How one source's requests are proven. With no secret, nothing verifies. `url` is the public one, for schemes that sign it. */
export const compileSignature = (scheme: Scheme, secrets: readonly string[], url: string | undefined): Signature =>
  scheme.scheme === 'hmac' ? compileHmac(scheme, secrets, url) : compileSharedSecret(scheme, secrets)
