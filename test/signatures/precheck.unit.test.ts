import { describe, expect, test } from 'vitest'
import { compileVerifier, type Scheme, signRequest } from '../../src/signatures/registry.ts'
import { standardWebhooks } from '../../src/signatures/standard-webhooks.ts'

const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`
const BODY = Buffer.from('{"token":"x"}')
const NOW = 1_700_000_000_000

const shared = (from: Extract<Scheme, { scheme: 'shared-secret' }>['from']): Scheme => ({
  scheme: 'shared-secret',
  from,
})

describe('the check of a signature before the body is read', () => {
  test.each([
    ['hmac', standardWebhooks],
    ['a secret in a header', shared({ header: 'x-secret', prefix: 'Bearer ' })],
    ['a password', shared({ basic: 'password' })],
    ['a secret in the query', shared({ query: 'token' })],
  ] as const)(
    'passes requests that are authentic by %s, and refuses others as the full check does',
    (_name, scheme) => {
      const { precheck, verify } = compileVerifier(scheme, [SECRET], undefined)
      const { headers, query } = signRequest(scheme, SECRET, { id: 'a', body: BODY, nowMs: NOW })
      expect(precheck({ headers, query })).toEqual({ ok: true })
      const none = { headers: {}, query: '' }
      expect(precheck(none)).toEqual(verify({ ...none, body: BODY }, NOW))
      expect(precheck(none)).toMatchObject({ ok: false })
    },
  )

  test('refuses a request without any one header that the signature needs', () => {
    const precheck = compileVerifier(standardWebhooks, [SECRET], undefined).precheck
    const { headers } = signRequest(standardWebhooks, SECRET, { id: 'a', body: BODY, nowMs: NOW })
    for (const name of Object.keys(headers)) {
      const { [name]: _missing, ...rest } = headers
      expect(precheck({ headers: rest, query: '' })).toEqual({ ok: false, reason: 'missing' })
    }
    const other = { ...headers, 'webhook-signature': 'v1,***' }
    expect(precheck({ headers: other, query: '' })).toEqual({ ok: false, reason: 'malformed' })
  })

  test('refuses a wrong secret in a header, and accepts an older right one', () => {
    const precheck = compileVerifier(shared({ header: 'x-secret' }), ['new-secret', 'old-secret'], undefined).precheck
    expect(precheck({ headers: { 'x-secret': 'old-secret' }, query: '' })).toEqual({ ok: true })
    expect(precheck({ headers: { 'x-secret': 'other' }, query: '' })).toEqual({ ok: false, reason: 'mismatch' })
  })

  test('has no verdict yet for a scheme whose secret is in the body', () => {
    expect(
      compileVerifier(shared({ body: 'token' }), [SECRET], undefined).precheck({ headers: {}, query: '' }),
    ).toBeUndefined()
  })
})
