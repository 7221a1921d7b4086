import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { MAX_SIGNATURE_CANDIDATES } from '../../src/domain/limits.ts'
import { providerFaults } from '../../src/providers/check-provider.ts'
import { shippedProviders } from '../../src/providers/index.ts'
import type { HmacScheme } from '../../src/signatures/hmac.ts'
import { compileVerifier, secretFault, secretHeaders, signRequest } from '../../src/signatures/registry.ts'
import type { SharedSecretScheme } from '../../src/signatures/shared-secret.ts'
import { propertyParameters } from '../support/property.ts'

/** Holds for every provider that signs, or sends a secret along; a provider is added to `shippedProviders` and nowhere else. */
const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const OTHER_SECRET = 'whsec_RdvaYFYUXuIFuEbvZHwMfYFhUf7aMYjYcmM24+Aj40c='
const NOW_MS = 1_700_000_000_000
const ID = 'msg_p5jXN8AQM9LWM0D4loKWxJek'
const BODY = Buffer.from('{"id":"evt_1","type":"thing.made","n":1.0}\r\n')

const hmacProviders = shippedProviders.flatMap((provider) =>
  provider.verify.scheme === 'hmac' ? [[provider.name, provider, provider.verify] as const] : [],
)

const secretProviders = shippedProviders.flatMap((provider) =>
  provider.verify.scheme === 'shared-secret' ? [[provider.name, provider, provider.verify] as const] : [],
)

type Sent = Record<string, string>
const signed = (scheme: HmacScheme, secret = SECRET, body = BODY, nowMs = NOW_MS): Sent => ({
  ...signRequest(scheme, secret, { id: ID, body, nowMs }).headers,
})

function verdictOn(
  scheme: HmacScheme | SharedSecretScheme,
  headers: Sent,
  body = BODY,
  secrets = [SECRET],
  nowMs = NOW_MS,
): string {
  const verdict = compileVerifier(scheme, secrets, undefined).verify({ headers, body, query: '' }, nowMs)
  return verdict.ok ? 'ok' : verdict.reason
}

/** Each string that differs in one character, by one bit or by being a letter or digit, a sign or a space. */
function* spoilt(text: string): Generator<string> {
  for (let at = 0; at < text.length; at++) {
    const others = ['x', '0', 'A', ' ', ',', '=', '.', String.fromCharCode(text.charCodeAt(at) ^ 1)]
    for (const other of others) if (other !== text[at]) yield `${text.slice(0, at)}${other}${text.slice(at + 1)}`
  }
}

/** Hex of either case is the same signature. */
const isSame = (one: string, other: string): boolean =>
  one.toLowerCase() === other.toLowerCase() && /[0-9a-f]{64}/.test(one)

test('every shipped provider signs its webhooks, except those that send a secret with them', () => {
  expect(secretProviders.map(([name]) => name)).toEqual(['assemblyai'])
  expect(hmacProviders).toHaveLength(shippedProviders.length - secretProviders.length)
})

describe.each(hmacProviders)('the signature of provider %s', (_, provider, scheme) => {
  const signatureHeader = [scheme.signature.header].flat()[0] ?? ''

  test('belongs to a valid module that keeps its secrets out of the stored headers', () => {
    expect(providerFaults(provider)).toEqual([])
    expect(secretFault(provider, SECRET)).toBeUndefined()
    expect(secretHeaders(scheme)).toEqual([])
  })

  test('verifies for any bytes that it was made for', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const body = Buffer.from(bytes)
        expect(verdictOn(scheme, signed(scheme, SECRET, body), body)).toBe('ok')
      }),
      propertyParameters(),
    )
  })

  test('does not verify for a body with any one byte changed, added or removed', () => {
    const headers = signed(scheme)
    for (let at = 0; at < BODY.length; at++) {
      const other = Buffer.from(BODY)
      other.writeUInt8(other.readUInt8(at) ^ (1 << (at % 8)), at)
      expect(verdictOn(scheme, headers, other)).toBe('mismatch')
    }
    expect(verdictOn(scheme, headers, Buffer.concat([BODY, Buffer.from('\n')]))).toBe('mismatch')
    expect(verdictOn(scheme, headers, BODY.subarray(0, -1))).toBe('mismatch')
    expect(verdictOn(scheme, headers, Buffer.alloc(0))).toBe('mismatch')
  })

  test('does not verify with any one character of a header changed', () => {
    const headers = signed(scheme)
    for (const [name, value] of Object.entries(headers)) {
      for (const other of spoilt(value)) {
        if (isSame(value, other)) continue
        expect(verdictOn(scheme, { ...headers, [name]: other }), `${name}: ${other}`).not.toBe('ok')
      }
    }
  })

  test('does not verify without any one of its headers', () => {
    const headers = signed(scheme)
    for (const name of Object.keys(headers)) {
      const { [name]: _gone, ...rest } = headers
      expect(verdictOn(scheme, rest), name).toBe('missing')
      expect(verdictOn(scheme, { ...headers, [name]: '' }), name).not.toBe('ok')
    }
    expect(verdictOn(scheme, {})).toBe('missing')
  })

  test('verifies with either of two secrets while they rotate, and with none where there is no secret', () => {
    const rotating = [OTHER_SECRET, SECRET]
    expect(verdictOn(scheme, signed(scheme, SECRET), BODY, rotating)).toBe('ok')
    expect(verdictOn(scheme, signed(scheme, OTHER_SECRET), BODY, rotating)).toBe('ok')
    expect(verdictOn(scheme, signed(scheme, OTHER_SECRET), BODY, [SECRET])).toBe('mismatch')
    expect(verdictOn(scheme, signed(scheme), BODY, [])).toBe('mismatch')
  })

  test('is found in a header that was sent twice, whichever comes first', () => {
    const headers = signed(scheme)
    const mine = headers[signatureHeader] ?? ''
    const foreign = signed(scheme, OTHER_SECRET)[signatureHeader] ?? ''
    for (const value of [`${mine}, ${foreign}`, `${foreign}, ${mine}`])
      expect(verdictOn(scheme, { ...headers, [signatureHeader]: value })).toBe('ok')
  })

  test(`is looked for among ${MAX_SIGNATURE_CANDIDATES} candidates and no more`, () => {
    const headers = signed(scheme)
    const mine = headers[signatureHeader] ?? ''
    const beside = (count: number) =>
      verdictOn(scheme, { ...headers, [signatureHeader]: Array.from({ length: count }, () => mine).join(', ') })
    expect(beside(MAX_SIGNATURE_CANDIDATES)).toBe('ok')
    expect(beside(MAX_SIGNATURE_CANDIDATES + 1)).not.toBe('ok')
    expect(beside(5_000)).not.toBe('ok')
  })
})

const timedProviders = hmacProviders.flatMap(([name, , scheme]) =>
  scheme.timestamp === undefined ? [] : [[name, scheme, scheme.timestamp] as const],
)

test.each(timedProviders)(
  'a request of provider %s is stale once it is outside its window, before or after',
  (_, scheme, window) => {
    const { pastSeconds, futureSeconds } = window
    const seenAfter = (seconds: number) => verdictOn(scheme, signed(scheme), BODY, [SECRET], NOW_MS + seconds * 1_000)
    expect(seenAfter(pastSeconds)).toBe('ok')
    expect(seenAfter(pastSeconds + 1)).toBe('stale')
    expect(seenAfter(-(futureSeconds ?? 0))).toBe('ok')
    expect(seenAfter(-(futureSeconds ?? 0) - 1)).toBe(futureSeconds === null ? 'ok' : 'stale')
  },
)

test('among the providers that sign, only GitHub sends no timestamp', () => {
  const timed = new Set<string>(timedProviders.map(([name]) => name))
  expect(hmacProviders.map(([name]) => name).filter((name) => !timed.has(name))).toEqual(['github'])
})

describe.each(secretProviders)('the shared secret of provider %s', (_, provider, scheme) => {
  const sent = (secret = SECRET): Sent => ({
    ...signRequest(scheme, secret, { id: ID, body: BODY, nowMs: NOW_MS }).headers,
  })

  test('belongs to a valid module that keeps it out of what is stored', () => {
    expect(providerFaults(provider)).toEqual([])
    expect(Object.keys(sent()).filter((name) => !secretHeaders(scheme).includes(name))).toEqual([])
  })

  test('must have 24 bytes or more', () => {
    expect(secretFault(provider, SECRET)).toBeUndefined()
    expect(secretFault(provider, 'a'.repeat(24))).toBeUndefined()
    expect(secretFault(provider, 'a'.repeat(23))).toMatch(/needs 24 bytes/)
  })

  test('verifies any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(verdictOn(scheme, sent(), Buffer.from(bytes))).toBe('ok')
      }),
      propertyParameters(),
    )
  })

  test('does not verify with any one character changed, or cut short, or missing', () => {
    for (const [name, value] of Object.entries(sent())) {
      for (const other of spoilt(value)) expect(verdictOn(scheme, { [name]: other }), other).not.toBe('ok')
      expect(verdictOn(scheme, { [name]: value.slice(0, -1) })).not.toBe('ok')
      expect(verdictOn(scheme, { [name]: '' })).not.toBe('ok')
    }
    expect(verdictOn(scheme, {})).toBe('missing')
  })

  test('verifies as either of two secrets while they rotate, and does not verify where no secret is configured', () => {
    expect(verdictOn(scheme, sent(), BODY, [OTHER_SECRET, SECRET])).toBe('ok')
    expect(verdictOn(scheme, sent(OTHER_SECRET), BODY, [SECRET])).toBe('mismatch')
    expect(verdictOn(scheme, sent(), BODY, [])).toBe('mismatch')
  })
})
