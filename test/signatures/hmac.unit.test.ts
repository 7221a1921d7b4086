import { createHmac } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { shippedProviders } from '../../src/providers/index.ts'
import openai from '../../src/providers/openai.ts'
import stripe from '../../src/providers/stripe.ts'
import { type HmacScheme, hmac } from '../../src/signatures/hmac.ts'
import { compileVerifier, signRequest } from '../../src/signatures/registry.ts'
import { standardWebhooks } from '../../src/signatures/standard-webhooks.ts'
import { propertyParameters } from '../support/property.ts'
import { testScheme } from './scheme-contract.ts'

const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const OLD_SECRET = 'whsec_RdvaYFYUXuIFuEbvZHwMfYFhUf7aMYjYcmM24+Aj40c='
const NOW_MS = 1_700_000_000_000

const body = Buffer.from('{"type":"a.b"}')
const verifierOf = (scheme: HmacScheme = standardWebhooks, secrets = [SECRET]) =>
  compileVerifier(scheme, secrets, undefined).verify
const signedBy = (secret: string, bytes = body, scheme: HmacScheme = standardWebhooks, nowMs = NOW_MS) =>
  ({ ...signRequest(scheme, secret, { id: 'msg_1', body: bytes, nowMs }).headers }) as Record<string, string>

function verdictOn(headers: Record<string, string | undefined>, bytes = body, verify = verifierOf(), nowMs = NOW_MS) {
  const verdict = verify({ headers, body: bytes, query: '' }, nowMs)
  return verdict.ok ? 'ok' : verdict.reason
}

describe('the published test vector', () => {
  test('of Standard Webhooks verifies', () => {
    const headers = {
      'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
      'webhook-timestamp': '1614265330',
      'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    }
    expect(verdictOn(headers, Buffer.from('{"test": 2432232314}'), verifierOf(), 1_614_265_330_000)).toBe('ok')
  })

  test('of OpenAI verifies, and does not with other blanks in the body', () => {
    const headers = {
      'webhook-id': 'wh_685c059ae39c8190af8c71ed1022a24d',
      'webhook-timestamp': '1750861210',
      'webhook-signature': 'v1,gUAg4R2hWouRZqRQG4uJypNS8YK885G838+EHb4nKBY=',
    }
    const text =
      '{"id": "evt_685c059ae3a481909bdc86819b066fb6", "object": "event", "created_at": 1750861210, "type": "response.completed", "data": {"id": "resp_123"}}'
    const verify = compileVerifier(openai.verify, [OLD_SECRET], undefined).verify
    expect(verdictOn(headers, Buffer.from(text), verify, 1_750_861_210_000)).toBe('ok')
    expect(verdictOn(headers, Buffer.from(text.replaceAll(': ', ':')), verify, 1_750_861_210_000)).toBe('mismatch')
  })

  test('of GitHub verifies', () => {
    const github = shippedProviders.find(({ name }) => name === 'github')
    const verify = compileVerifier(github?.verify as HmacScheme, ["It's a Secret to Everybody"], undefined).verify
    const signature = 'sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17'
    expect(verdictOn({ 'x-hub-signature-256': signature }, Buffer.from('Hello, World!'), verify)).toBe('ok')
  })
})

describe('a signature', () => {
  test('verifies under any of the configured secrets, and under no other', () => {
    const rotating = verifierOf(standardWebhooks, [SECRET, OLD_SECRET])
    expect(verdictOn(signedBy(SECRET), body, rotating)).toBe('ok')
    expect(verdictOn(signedBy(OLD_SECRET), body, rotating)).toBe('ok')
    expect(verdictOn(signedBy(OLD_SECRET))).toBe('mismatch')
    expect(verdictOn(signedBy(SECRET), body, verifierOf(standardWebhooks, []))).toBe('mismatch')
  })

  test('is found among others, of other keys, other labels and repeated headers', () => {
    const headers = signedBy(SECRET)
    const signature = headers['webhook-signature'] ?? ''
    const foreign = signedBy(OLD_SECRET)['webhook-signature'] ?? ''
    const beside = (value: string) => verdictOn({ ...headers, 'webhook-signature': value })
    expect(beside(`${foreign} ${signature}`)).toBe('ok')
    expect(beside(`v1a,c29tZXRoaW5n v2,??? ${signature}`)).toBe('ok')
    expect(beside(`${foreign}, ${signature}`)).toBe('ok')
    expect(beside(`v1,not-base64! ${signature}`)).toBe('ok')
    expect(beside(`v2${signature.slice(2)}`)).toBe('missing')
    expect(beside(foreign)).toBe('mismatch')
  })

  test('is not looked for among more than 32 candidates', () => {
    const headers = signedBy(SECRET)
    const others = (count: number) => Array.from({ length: count }, () => 'v1,AAAA').join(' ')
    const beside = (count: number) =>
      verdictOn({ ...headers, 'webhook-signature': `${others(count)} ${headers['webhook-signature']}` })
    expect(beside(31)).toBe('ok')
    expect(beside(32)).toBe('malformed')
  })

  test.each([
    ['with a character that is no base64', (s: string) => `${s.slice(0, 9)}!${s.slice(9)}`],
    ['without its padding', (s: string) => s.replace(/=+$/, '')],
    [
      'in the URL alphabet',
      (s: string) =>
        s
          .replaceAll('+', '-')
          .replaceAll('/', '_')
          .replace(/[A-Za-z]=$/, '_='),
    ],
    ['cut short', (s: string) => s.slice(0, -4)],
    ['that is empty', () => 'v1,'],
  ])('%s verifies nothing', (_, spoil) => {
    const headers = signedBy(SECRET)
    expect(verdictOn({ ...headers, 'webhook-signature': spoil(headers['webhook-signature'] ?? '') })).not.toBe('ok')
  })

  test.each(['webhook-id', 'webhook-timestamp', 'webhook-signature'])('without %s is missing', (name) => {
    const headers: Record<string, string | undefined> = signedBy(SECRET)
    headers[name] = undefined
    expect(verdictOn(headers)).toBe('missing')
  })

  test('covers bytes that are not text', () => {
    const bytes = Buffer.from([0xff, 0xfe, 0x00, 0x80])
    expect(verdictOn(signedBy(SECRET, bytes), bytes)).toBe('ok')
    expect(verdictOn(signedBy(SECRET, bytes), Buffer.from(bytes.toString()))).toBe('mismatch')
  })

  test('covers header bytes as they came, even beyond ASCII', () => {
    const id = Buffer.from('msg_é', 'utf8').toString('latin1')
    const signature = createHmac('sha256', Buffer.from(SECRET.slice(6), 'base64'))
      .update(Buffer.from('msg_é.1700000000.', 'utf8'))
      .update(body)
      .digest('base64')
    expect(
      verdictOn({ 'webhook-id': id, 'webhook-timestamp': '1700000000', 'webhook-signature': `v1,${signature}` }),
    ).toBe('ok')
  })
})

describe('a signed timestamp', () => {
  const at = (offsetSeconds: number) =>
    verdictOn(signedBy(SECRET, body, standardWebhooks, NOW_MS + offsetSeconds * 1000))

  test('holds for five minutes either way', () => {
    expect([at(-300), at(300)]).toEqual(['ok', 'ok'])
    expect([at(-301), at(301)]).toEqual(['stale', 'stale'])
  })

  test.each(['123junk', '1e9', ' 1700000000', '-1700000000', '1700000000.0', '0x65', ''])(
    '%j is malformed, even with a right signature',
    (timestamp) => {
      const signature = createHmac('sha256', Buffer.from(SECRET.slice(6), 'base64'))
        .update(`msg_1.${timestamp}.`)
        .update(body)
        .digest('base64')
      expect(
        verdictOn({ 'webhook-id': 'msg_1', 'webhook-timestamp': timestamp, 'webhook-signature': `v1,${signature}` }),
      ).toBe('malformed')
    },
  )

  test('may stand among several signatures', () => {
    const secret = 'whsec_the_whole_of_it_is_the_key'
    const verify = compileVerifier(stripe.verify, [secret], undefined).verify
    const header = signedBy(secret, body, stripe.verify)['stripe-signature'] ?? ''
    const [time, signature] = header.split(',')
    expect(header).toMatch(/^t=1700000000,v1=[0-9a-f]{64}$/)
    expect(
      verdictOn({ 'stripe-signature': `${time},v1=${'0'.repeat(64)},${signature},v0=${'1'.repeat(64)}` }, body, verify),
    ).toBe('ok')
    expect(verdictOn({ 'stripe-signature': `${signature}` }, body, verify)).toBe('missing')
    expect(verdictOn({ 'stripe-signature': `t=1700000001,${signature}` }, body, verify)).toBe('mismatch')
  })

  test('may stand in the body, in milliseconds, and is read only after the signature has verified the body', () => {
    const scheme: HmacScheme = {
      scheme: 'hmac',
      algorithm: 'sha256',
      key: 'utf8',
      signed: '{body}',
      signature: { header: 'linear-signature', encoding: 'hex' },
      timestamp: { from: { body: 'webhookTimestamp' }, unit: 'ms', pastSeconds: 60, futureSeconds: 60 },
    }
    const verify = verifierOf(scheme, ['a-secret'])
    const sent = (offsetMs: number) => {
      const bytes = Buffer.from(JSON.stringify({ webhookTimestamp: NOW_MS + offsetMs }))
      return verdictOn(signedBy('a-secret', bytes, scheme), bytes, verify)
    }
    expect([sent(0), sent(-60_000), sent(-60_001), sent(60_001)]).toEqual(['ok', 'ok', 'stale', 'stale'])
    const none = Buffer.from('{}')
    expect(verdictOn(signedBy('a-secret', none, scheme), none, verify)).toBe('missing')
    const unparsable = Buffer.from(`{"webhookTimestamp":${NOW_MS},"data":${'['.repeat(100)}}`)
    expect(verdictOn(signedBy('a-secret', unparsable, scheme), unparsable, verify)).toBe('missing')
    const strange = Buffer.from(`{"webhookTimestamp":${NOW_MS},"data":?}`)
    expect(verdictOn(signedBy('a-secret', strange, scheme), strange, verify)).toBe('ok')
  })
})

test('a request that any shipped provider signs verifies, and does not verify with one byte changed anywhere', () => {
  const signing = shippedProviders.filter(({ verify }) => verify.scheme === 'hmac')
  const secrets: Record<string, string> = { stripe: 'whsec_text', github: "It's a Secret to Everybody" }
  const flip = (text: string, at: number): string => {
    const index = at % text.length
    return `${text.slice(0, index)}${text[index] === 'x' ? 'y' : 'x'}${text.slice(index + 1)}`
  }
  fc.assert(
    fc.property(
      fc.constantFrom(...signing),
      fc.uint8Array({ minLength: 1, maxLength: 200 }),
      fc.nat(),
      (provider, bytes, at) => {
        const scheme = provider.verify as HmacScheme
        const secret = secrets[provider.name] ?? SECRET
        const verify = compileVerifier(scheme, [secret], undefined).verify
        const sent = Buffer.from(bytes)
        const headers = signedBy(secret, sent, scheme)
        expect(verdictOn(headers, sent, verify)).toBe('ok')
        const spoilt = Buffer.from(sent)
        spoilt.writeUInt8((spoilt.readUInt8(at % sent.length) + 1) % 256, at % sent.length)
        expect(verdictOn(headers, spoilt, verify)).toBe('mismatch')
        for (const [name, value] of Object.entries(headers)) {
          expect(verdictOn({ ...headers, [name]: flip(value, at) }, sent, verify), name).not.toBe('ok')
        }
      },
    ),
    propertyParameters(),
  )
})

const plain: HmacScheme = {
  scheme: 'hmac',
  algorithm: 'sha512',
  key: 'utf8',
  signed: '{body}',
  signature: { header: 'x-signature', encoding: 'hex' },
}
const byHex: HmacScheme = { ...plain, algorithm: 'sha1', key: 'hex' }
const window = { pastSeconds: 60, futureSeconds: null }

testScheme(hmac, {
  settings: [
    standardWebhooks,
    stripe.verify,
    byHex,
    { ...plain, key: 'base64', signed: '{url}|{header:x-signature-of}|{body}' },
    { ...plain, timestamp: { ...window, from: { body: 'sent.at' }, unit: 'ms' } },
    {
      ...plain,
      key: 'whsec-or-utf8',
      id: ['x-id', 'x-old-id'],
      signed: '{id}{timestamp}{body}',
      timestamp: { ...window, from: { header: 'x-time' }, unit: 'rfc3339' },
    },
  ],
  // Of every form that a key may have.
  secret: 'ab12'.repeat(12),
  otherSecret: 'cd34'.repeat(12),
  malformedSecrets: [
    [standardWebhooks, 'whsec_no base64'],
    [standardWebhooks, 'MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS'],
    [byHex, 'abc'],
    [byHex, 'MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'],
    [{ ...plain, key: 'whsec-or-utf8' }, 'whsec_no base64'],
  ],
})
