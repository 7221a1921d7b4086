import { describe, expect, test } from 'vitest'
import type { Provider } from '../../src/domain/provider.ts'
import github from '../../src/providers/github/provider.ts'
import { compileVerifier, type Scheme, secretFault, secretHeaders, signRequest } from '../../src/signatures/registry.ts'
import type { SharedSecretScheme } from '../../src/signatures/shared-secret.ts'

const shared = (from: SharedSecretScheme['from']): Scheme => ({ scheme: 'shared-secret', from })
const body = Buffer.from('{}')

describe('the headers that carry a secret in the clear', () => {
  test.each<[Scheme, readonly string[]]>([
    [shared({ header: 'X-Gitlab-Token' }), ['x-gitlab-token']],
    [shared({ header: 'authorization', prefix: 'Bearer ' }), ['authorization']],
    [shared({ basic: 'password' }), ['authorization']],
    [shared({ query: 'token' }), []],
    [shared({ body: 'token' }), []],
    [github.verify, []],
  ])('of the scheme %j are %j', (scheme, names) => {
    expect(secretHeaders(scheme)).toEqual(names)
  })
})

describe('a shared secret beyond ASCII', () => {
  test.each<SharedSecretScheme['from']>([{ header: 'x-token' }, { basic: 'password' }, { query: 'token' }])(
    'that is sent as %j verifies by its exact bytes',
    (from) => {
      const sent = signRequest(shared(from), 'clé 日本', { id: '', body, nowMs: 0 })
      expect(compileVerifier(shared(from), ['clé 日本'], undefined).verify({ body, ...sent }, 0)).toEqual({
        ok: true,
        secret: 1,
      })
      for (const value of Object.values(sent.headers))
        expect(Buffer.from(value, 'latin1').toString('latin1')).toBe(value)
    },
  )
})

describe('an empty secret', () => {
  test.each<[SharedSecretScheme['from'], Record<string, string>, string]>([
    [{ header: 'x-token' }, { 'x-token': '' }, ''],
    [{ basic: 'password' }, { authorization: `Basic ${btoa('user:')}` }, ''],
    [{ query: 'token' }, {}, 'token='],
  ])('that is sent as %j verifies nothing', (from, headers, query) => {
    expect(compileVerifier(shared(from), [''], undefined).verify({ headers, query, body }, 0)).toEqual({
      ok: false,
      reason: 'mismatch',
    })
  })

  test('is refused at any provider', () => {
    const plain: Provider = { name: 'plain', verify: shared({ header: 'x-token' }), event: { type: 'body:type' } }
    expect(secretFault(plain, '')).toMatch(/needs 1 bytes or more/)
    expect(secretFault(github, '')).toMatch(/needs 24 bytes or more/)
  })
})

test('a provider that issues shorter keys accepts them, and none that are shorter still', () => {
  const short: Provider = { ...github, name: 'short', minKeyBytes: 8 }
  expect(secretFault(short, '12345678')).toBeUndefined()
  expect(secretFault(short, '1234567')).toBe('a secret has 7 bytes of key; provider short needs 8 bytes or more')
})
