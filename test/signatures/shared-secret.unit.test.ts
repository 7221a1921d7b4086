import { describe, expect, test } from 'vitest'
import { compileVerifier, signRequest } from '../../src/signatures/registry.ts'
import { type SharedSecretScheme, sharedSecret } from '../../src/signatures/shared-secret.ts'
import { testScheme } from './scheme-contract.ts'

const shared = (from: SharedSecretScheme['from']): SharedSecretScheme => ({ scheme: 'shared-secret', from })
const nothing = { headers: {}, query: '', body: Buffer.from('{}') }
type Request = Partial<typeof nothing> & { headers?: Record<string, string> }

function verdictOn(from: SharedSecretScheme['from'], request: Request, secrets = ['new-secret', 'old-secret']) {
  const verdict = compileVerifier(shared(from), secrets, undefined).verify({ ...nothing, ...request }, 0)
  return verdict.ok ? 'ok' : verdict.reason
}

const basic = (pair: string) => ({ headers: { authorization: `Basic ${Buffer.from(pair).toString('base64')}` } })

describe('a shared secret', () => {
  const cases: readonly [string, SharedSecretScheme['from'], Request, string][] = [
    ['in a header', { header: 'x-token' }, { headers: { 'x-token': 'new-secret' } }, 'ok'],
    ['in a header, the older one', { header: 'x-token' }, { headers: { 'x-token': 'old-secret' } }, 'ok'],
    ['in a header, wrong', { header: 'x-token' }, { headers: { 'x-token': 'new-secreT' } }, 'mismatch'],
    ['in a header, the beginning of it', { header: 'x-token' }, { headers: { 'x-token': 'new-secre' } }, 'mismatch'],
    ['in no header', { header: 'x-token' }, {}, 'missing'],
    [
      'behind a prefix',
      { header: 'authorization', prefix: 'Bearer ' },
      { headers: { authorization: 'Bearer new-secret' } },
      'ok',
    ],
    [
      'without its prefix',
      { header: 'authorization', prefix: 'Bearer ' },
      { headers: { authorization: 'new-secret' } },
      'malformed',
    ],
    ['as a Basic password', { basic: 'password' }, basic('anyone:new-secret'), 'ok'],
    ['as a Basic user name', { basic: 'password' }, basic('new-secret:'), 'mismatch'],
    ['in Basic without a colon', { basic: 'password' }, basic('new-secret'), 'malformed'],
    ['in the query', { query: 'token' }, { query: 'a=b&token=new-secret' }, 'ok'],
    ['in a query without it', { query: 'token' }, { query: 'a=b' }, 'missing'],
    ['in the body', { body: 'auth.token' }, { body: Buffer.from('{"auth":{"token":"new-secret"}}') }, 'ok'],
    ['in the body, wrong', { body: 'auth.token' }, { body: Buffer.from('{"auth":{"token":"no"}}') }, 'mismatch'],
    ['in a body without it', { body: 'auth.token' }, { body: Buffer.from('{}') }, 'missing'],
    [
      'in a body that is no JSON behind it',
      { body: 'token' },
      { body: Buffer.from('{"token":"new-secret","a":?}') },
      'ok',
    ],
    ['in a body that cannot be read', { body: 'auth.token' }, { body: Buffer.from('{') }, 'unreadable'],
  ]

  test.each(cases.map(([what, from, request, expected]) => ({ what, from, request, expected })))(
    '($what) gets the verdict $expected',
    ({ from, request, expected }) => {
      expect(verdictOn(from, request)).toBe(expected)
    },
  )

  test('that is not configured verifies nothing', () => {
    expect(verdictOn({ header: 'x-token' }, { headers: { 'x-token': '' } }, [])).toBe('mismatch')
  })

  test.each<SharedSecretScheme['from']>([
    { header: 'x-token' },
    { header: 'authorization', prefix: 'Bearer ' },
    { basic: 'password' },
    { query: 'token' },
  ])('that is sent as %j verifies', (from) => {
    const sent = signRequest(shared(from), 'new-secret', { id: '', body: nothing.body, nowMs: 0 })
    expect(verdictOn(from, sent)).toBe('ok')
  })
})

testScheme(sharedSecret, {
  settings: [
    shared({ header: 'x-token' }),
    shared({ header: 'authorization', prefix: 'Bearer ' }),
    shared({ basic: 'password' }),
    shared({ query: 'token' }),
    shared({ body: 'auth.token' }),
  ],
  secret: 'new-secret',
  otherSecret: 'old-secret',
})
