import type { Scheme } from '../domain/provider.ts'
import type { Precheck, Verifier } from '../domain/verifier.ts'
import { compileHmac, precheckHmac } from './hmac.ts'
import { compileSharedSecret, precheckSharedSecret } from './shared-secret.ts'

/** The verifier of one source. With no secret, nothing verifies. `url` is the public one, for schemes that sign it. */
export const compileVerifier = (scheme: Scheme, secrets: readonly string[], url: string | undefined): Verifier =>
  scheme.scheme === 'hmac' ? compileHmac(scheme, secrets, url) : compileSharedSecret(scheme, secrets)

export const compilePrecheck = (scheme: Scheme, secrets: readonly string[]): Precheck =>
  scheme.scheme === 'hmac' ? precheckHmac(scheme) : precheckSharedSecret(scheme, secrets)
