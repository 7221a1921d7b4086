import type { AnyScheme, Provider, Written } from '../domain/provider.ts'
import type { Verifier } from '../domain/verifier.ts'
import { hmac } from './hmac.ts'
import { sharedSecret } from './shared-secret.ts'
import type { Message, SignatureScheme, SignedParts } from './signature-scheme.ts'

/** Every signature scheme. */
export const schemes = [hmac, sharedSecret] as const

/** What a provider module may write in `verify`. */
export type Scheme = Written<(typeof schemes)[number]['schema']>

const byName: ReadonlyMap<string, SignatureScheme> = new Map(schemes.map((scheme) => [scheme.name, scheme]))

/** Throws `TypeError` if there is no such scheme. `check-provider.ts` refuses a module with an unknown scheme before. */
function schemeOf({ scheme: name }: AnyScheme): SignatureScheme {
  const scheme = byName.get(name)
  if (scheme === undefined) throw new TypeError(`there is no signature scheme ${name}`)
  return scheme
}

/** A verifier for one source. Without secrets it refuses every request. `url`: the source's public URL, for schemes that sign it. */
export const compileVerifier = (verify: AnyScheme, secrets: readonly string[], url: string | undefined): Verifier =>
  schemeOf(verify).compile(verify, secrets, url)

/** The headers and query that the provider adds to a message, for samples and tests. Throws `TypeError` for a secret of another form. */
export const signRequest = (verify: AnyScheme, secret: string, message: Message): SignedParts =>
  schemeOf(verify).sign(verify, secret, message)

/** The values that the scheme expects in the body, by dotted path. They are added before the body is signed. */
export const bodyFields = (verify: AnyScheme, secret: string, nowMs: number): Readonly<Record<string, unknown>> =>
  schemeOf(verify).bodyFields(verify, secret, nowMs)

/** Faults of settings that match their schema: why they could verify no request, or would prove too little; one sentence each. */
export const schemeFaults = (verify: AnyScheme): readonly string[] => schemeOf(verify).faults(verify)

/** Headers that carry a secret in the clear, in lower case. */
export const secretHeaders = (verify: AnyScheme): readonly string[] => schemeOf(verify).secretHeaders(verify)

/** Whether the signature covers the URL of the webhook. */
export const signsUrl = (verify: AnyScheme): boolean => schemeOf(verify).signsUrl(verify)

/** The key that a secret encodes. Two secrets with the same key verify the same requests, even if their texts differ. */
export const keyOf = (verify: AnyScheme, secret: string): Buffer | undefined => schemeOf(verify).keyOf(verify, secret)

/** Why a provider cannot use a secret, without repeating the secret; undefined if it can. */
export function secretFault({ name, verify, minKeyBytes }: Provider, secret: string): string | undefined {
  const scheme = schemeOf(verify)
  const min = minKeyBytes ?? scheme.minKeyBytes
  const key = scheme.keyOf(verify, secret)
  if (key === undefined) return `a secret is not ${scheme.secretForm(verify)}, as provider ${name} has it`
  return key.length < min
    ? `a secret has ${key.length} bytes of key; provider ${name} needs ${min} bytes or more`
    : undefined
}
