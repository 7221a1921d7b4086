import type { HmacScheme, Provider, Scheme } from '../domain/provider.ts'

/** Bytes of the shortest key accepted unless its provider hands out shorter ones. Source: Standard Webhooks, 24 to 64. */
export const MIN_KEY_BYTES = 24

const STANDARD_PREFIX = 'whsec_'

/** The key that a configured secret stands for; undefined where it is not of the form that the scheme asks for. */
export function decodeKey(form: HmacScheme['key'], secret: string): Buffer | undefined {
  switch (form) {
    case 'utf8':
      return Buffer.from(secret, 'utf8')
    case 'hex':
      return decodeHex(secret)
    case 'base64':
      return decodeBase64(secret)
    case 'whsec':
      return decodeBase64(secret.startsWith(STANDARD_PREFIX) ? secret.slice(STANDARD_PREFIX.length) : secret)
    case 'whsec-or-utf8':
      return secret.startsWith(STANDARD_PREFIX)
        ? decodeBase64(secret.slice(STANDARD_PREFIX.length))
        : Buffer.from(secret, 'utf8')
  }
}

/** Why a secret cannot serve this provider, without repeating it; undefined if it can. */
export function secretFault(provider: Provider, secret: string): string | undefined {
  const min = provider.minKeyBytes ?? (provider.verify.scheme === 'hmac' ? MIN_KEY_BYTES : 1)
  const key = keyOf(provider, secret)
  if (key === undefined)
    return `a secret is not ${formOf(provider) === 'hex' ? 'hexadecimal' : 'valid base64'}, as provider ${provider.name} has it`
  return key.length < min
    ? `a secret has ${key.length} bytes of key; provider ${provider.name} needs ${min} bytes or more`
    : undefined
}

/** What a secret proves with this provider: two of the same key are the same, however they are written. */
export const keyOf = (provider: Provider, secret: string): Buffer | undefined => decodeKey(formOf(provider), secret)

const formOf = ({ verify }: Provider): HmacScheme['key'] => (verify.scheme === 'hmac' ? verify.key : 'utf8')

/** Headers that carry a secret in the clear. */
export function secretHeaders(scheme: Scheme): readonly string[] {
  if (scheme.scheme === 'hmac') return []
  if ('header' in scheme.from) return [scheme.from.header.toLowerCase()]
  return 'basic' in scheme.from ? ['authorization'] : []
}

const HEX = /^(?:[0-9a-fA-F]{2})+$/
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/

/** Strict: no character that Buffer would pass over. */
export const decodeHex = (text: string): Buffer | undefined => (HEX.test(text) ? Buffer.from(text, 'hex') : undefined)

/** Strict: padded, standard alphabet, no character that Buffer would pass over. */
export const decodeBase64 = (text: string): Buffer | undefined =>
  text.length > 0 && BASE64.test(text) ? Buffer.from(text, 'base64') : undefined
