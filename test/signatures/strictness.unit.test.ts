import { createHmac } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { HmacScheme } from '../../src/signatures/hmac.ts'
import { compileVerifier, signRequest } from '../../src/signatures/registry.ts'

const NOW_MS = 1_700_000_000_000
const body = Buffer.from('{"a":1}')
const bare: HmacScheme = {
  scheme: 'hmac',
  algorithm: 'sha256',
  key: 'utf8',
  signed: '{body}',
  signature: { header: 'x-signature', encoding: 'base64' },
}

function verdictOn(scheme: HmacScheme, secret: string, headers: Record<string, string>, bytes = body, url?: string) {
  const verdict = compileVerifier(scheme, [secret], url).verify({ headers, body: bytes, query: '' }, NOW_MS)
  return verdict.ok ? 'ok' : verdict.reason
}

const signatureOf = (scheme: HmacScheme, secret: string, url?: string): string =>
  signRequest(scheme, secret, { id: '', body, nowMs: NOW_MS, ...(url !== undefined && { url }) }).headers[
    'x-signature'
  ] ?? ''

describe('a base64 signature', () => {
  const signature = signatureOf(bare, 'a-secret')

  test('has one spelling only: the bits that a decoder drops may not differ', () => {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
    const at = alphabet.indexOf(signature.at(-2) ?? '')
    const aliases = [1, 2, 3].map((bits) => `${signature.slice(0, -2)}${alphabet[at + bits]}=`)
    for (const alias of aliases) {
      expect(Buffer.from(alias, 'base64')).toEqual(Buffer.from(signature, 'base64'))
      expect(verdictOn(bare, 'a-secret', { 'x-signature': alias })).toBe('malformed')
    }
  })

  test.each([
    ['a second padding', `${signature}=`],
    ['something behind its padding', `${signature}AAAA`],
    ['a line break in it', `${signature.slice(0, 20)}\n${signature.slice(20)}`],
    ['a byte beyond ASCII', `${signature.slice(0, 20)}\u00e9${signature.slice(20)}`],
  ])('with %s is malformed', (_, text) => {
    expect(verdictOn(bare, 'a-secret', { 'x-signature': text })).toBe('malformed')
  })
})

describe('a hex signature', () => {
  const scheme: HmacScheme = { ...bare, signature: { header: 'x-signature', encoding: 'hex' } }
  const signature = signatureOf(scheme, 'a-secret')

  test('is the same in capitals', () => {
    expect(verdictOn(scheme, 'a-secret', { 'x-signature': signature.toUpperCase() })).toBe('ok')
  })

  test.each([
    ['an odd digit behind it', `${signature}0`, 'malformed'],
    ['no hex behind it', `${signature}zz`, 'malformed'],
    ['no hex in front of it', `zz${signature}`, 'malformed'],
    ['more hex behind it', `${signature}00`, 'mismatch'],
    ['its end cut off', signature.slice(0, -2), 'mismatch'],
  ])('with %s is refused', (_, text, reason) => {
    expect(verdictOn(scheme, 'a-secret', { 'x-signature': text })).toBe(reason)
  })
})

describe('a key', () => {
  const bytes = Buffer.from('00ff10203040506070', 'hex')

  test.each([
    ['utf8', 'clé-secrète', Buffer.from('clé-secrète', 'utf8')],
    ['hex', bytes.toString('hex'), bytes],
    ['base64', bytes.toString('base64'), bytes],
    ['whsec', `whsec_${bytes.toString('base64')}`, bytes],
    ['whsec', bytes.toString('base64'), bytes],
    ['whsec-or-utf8', `whsec_${bytes.toString('base64')}`, bytes],
    ['whsec-or-utf8', bytes.toString('base64'), Buffer.from(bytes.toString('base64'), 'utf8')],
  ] as const)('of the kind %s is taken from %s', (key, secret, expected) => {
    const signature = createHmac('sha256', expected).update(body).digest('base64')
    expect(verdictOn({ ...bare, key }, secret, { 'x-signature': signature })).toBe('ok')
  })

  test.each([
    ['utf8', ''],
    ['whsec', 'whsec_'],
    ['whsec-or-utf8', ''],
    ['base64', 'not base64'],
    ['hex', 'abc'],
  ] as const)(
    'of the kind %s that cannot be read from %j verifies nothing, not even a request signed with an empty key',
    (key, secret) => {
      const signature = createHmac('sha256', '').update(body).digest('base64')
      expect(verdictOn({ ...bare, key }, secret, { 'x-signature': signature })).toBe('mismatch')
    },
  )
})

describe('a template', () => {
  test.each(['sha1', 'sha256', 'sha512'] as const)('is signed by %s', (algorithm) => {
    const signature = createHmac(algorithm, 'k').update(body).digest('base64')
    expect(verdictOn({ ...bare, algorithm }, 'k', { 'x-signature': signature })).toBe('ok')
  })

  test('signs the public URL and its own text as UTF-8', () => {
    const url = 'https://hooks.example.com/v1/webhooks/ä'
    const scheme: HmacScheme = { ...bare, signed: '{url}§{body}' }
    const signature = createHmac('sha256', 'k').update(`${url}§`, 'utf8').update(body).digest('base64')
    expect(signatureOf(scheme, 'k', url)).toBe(signature)
    expect(verdictOn(scheme, 'k', { 'x-signature': signature }, body, url)).toBe('ok')
    expect(verdictOn(scheme, 'k', { 'x-signature': signature }, body, `${url}/`)).toBe('mismatch')
  })

  test('signs headers as they came, and text on both sides of the body', () => {
    const scheme: HmacScheme = { ...bare, signed: '{header:X-Request-Id}|{body}|{header:x-user}' }
    const user = Buffer.from('zoë', 'utf8')
    const signature = createHmac('sha256', 'k')
      .update(Buffer.concat([Buffer.from('r-1|'), body, Buffer.from('|'), user]))
      .digest('base64')
    const headers = { 'x-signature': signature, 'x-request-id': 'r-1', 'x-user': user.toString('latin1') }
    expect(verdictOn(scheme, 'k', headers)).toBe('ok')
    expect(verdictOn(scheme, 'k', { ...headers, 'x-request-id': 'r-2' })).toBe('mismatch')
  })
})

describe('a timestamp in RFC 3339', () => {
  const scheme: HmacScheme = {
    ...bare,
    signed: '{timestamp}.{body}',
    timestamp: { from: { header: 'x-time' }, unit: 'rfc3339', pastSeconds: 60, futureSeconds: null },
  }
  const at = (time: string): string => {
    const signature = createHmac('sha256', 'k').update(`${time}.`).update(body).digest('base64')
    return verdictOn(scheme, 'k', { 'x-time': time, 'x-signature': signature })
  }

  test.each(['2023-11-14T22:13:20Z', '2023-11-14T22:13:20.000Z', '2023-11-15T00:13:20+02:00'])(
    'written as %s is read',
    (time) => {
      expect(at(time)).toBe('ok')
    },
  )

  test.each([
    '2023-11-14T22:13:20',
    '2023-11-14',
    '2023-11-14T22:13:20Zjunk',
    'Tue, 14 Nov 2023 22:13:20 GMT',
    '1700000000',
    '2023-13-14T22:13:20Z',
  ])('written as %s is malformed', (time) => {
    expect(at(time)).toBe('malformed')
  })

  test('may lie in the future where the scheme sets no bound, but not in the past', () => {
    expect(at('2033-11-14T22:13:20Z')).toBe('ok')
    expect(at('2023-11-14T22:12:19Z')).toBe('stale')
  })
})

describe('a list of signatures', () => {
  const scheme: HmacScheme = {
    ...bare,
    signed: '{timestamp}.{body}',
    signature: { header: 'x-signature', encoding: 'hex', separator: ',', labelSeparator: '=', labels: ['v1'] },
    timestamp: { from: { label: 't' }, unit: 's', pastSeconds: 300, futureSeconds: 300 },
  }
  const [time, signature] = signatureOf(scheme, 'a-secret').split(',')
  const on = (header: string): string => verdictOn(scheme, 'a-secret', { 'x-signature': header })

  test('may have blanks around its entries, and empty ones', () => {
    expect(on(`${time} ,  ${signature}`)).toBe('ok')
    expect(on(`,${time},,${signature},`)).toBe('ok')
  })

  test('has one timestamp, the first', () => {
    expect(on(`${time},t=1,${signature}`)).toBe('ok')
    expect(on(`t=1,${time},${signature}`)).toBe('mismatch')
  })

  test('is missing if all labels are unknown, and malformed if no entry with a known label can be decoded', () => {
    expect(on(`${time},v0=${'0'.repeat(64)}`)).toBe('missing')
    expect(on(`${time},v1=junk`)).toBe('malformed')
    expect(on('')).toBe('missing')
  })
})
