import { request as httpRequest } from 'node:http'
import { describe, expect, test } from 'vitest'
import type { Source } from '../../src/domain/source.ts'
import { exchange, exchangeOne, requestText } from './exchange.ts'
import { expectProblem, JSON_TYPE, post, source, startPublic } from './public-service.ts'

describe('the content type of a webhook', () => {
  const accepted = [
    'application/json',
    'Application/JSON',
    'application/json; charset=utf-8',
    'application/json;charset="utf-8";a=b',
    'application/json ; charset=utf-8',
    'application/json;',
  ]
  const refused = [
    'application/json garbage',
    'application/json, application/json',
    'application/json;charset',
    'application/json\tx',
    'application/jsonx',
    'application/vnd.api+json',
    'text/plain',
    'application',
    '/',
    '*/*',
    `application/json; a=${'b'.repeat(300)}`,
    `application/json${' '.repeat(4_000)}x`,
  ]

  const send = (port: number, path: string, contentType: string) =>
    exchangeOne(port, requestText('POST', path, [`Content-Type: ${contentType}`, 'Content-Length: 2'], '{}'))

  test.each(accepted)('%s is taken as JSON', async (contentType) => {
    const service = await startPublic()
    expect((await send(service.port, '/v1/webhooks/ai', contentType)).status).toBe(200)
  })

  test.each(refused)(
    '%s is accepted where the signature is right, and gets 415 where it is not',
    async (contentType) => {
      const service = await startPublic()
      expect((await send(service.port, '/v1/webhooks/ai', contentType)).status).toBe(200)
      const other = await startPublic({ receive: async () => ({ outcome: 'signature_mismatch' }) })
      const answer = await send(other.port, '/v1/webhooks/ai', contentType)
      expect(answer.status).toBe(415)
      expect(answer.headers['content-type']).toBe('application/problem+json')
      expect(other.counted).toEqual([['ai', 'unsupported_media_type']])
      expect(other.logged).toContainEqual(expect.objectContaining({ reason: 'signature_mismatch' }))
    },
  )

  test.each(['', ' '])('"%s" counts as none: a webhook with a wrong signature gets 401', async (contentType) => {
    const service = await startPublic({ receive: async () => ({ outcome: 'signature_mismatch' }) })
    expect((await send(service.port, '/v1/webhooks/ai', contentType)).status).toBe(401)
  })

  test('may be missing', async () => {
    const service = await startPublic()
    const answer = await exchangeOne(service.port, requestText('POST', '/v1/webhooks/ai', ['Content-Length: 2'], '{}'))
    expect(answer.status).toBe(200)
  })

  test('is the one that the provider sends, which need not be JSON', async () => {
    const service = await startPublic({ receive: async () => ({ outcome: 'signature_missing' }) })
    expect((await send(service.port, '/v1/webhooks/forms', 'application/json')).status).toBe(415)
    expect((await send(service.port, '/v1/webhooks/forms', 'application/x-www-form-urlencoded')).status).toBe(401)
    expect((await send(service.port, '/v1/webhooks/forms', 'text/plain')).status).toBe(401)
  })

  test.each(['gzip', 'identity', 'br, gzip', ''])(
    'makes no difference with Content-Encoding "%s": the webhook gets 415',
    async (encoding) => {
      const service = await startPublic()
      const headers = ['Content-Type: application/json', `Content-Encoding: ${encoding}`, 'Content-Length: 2']
      const answer = await exchangeOne(service.port, requestText('POST', '/v1/webhooks/ai', headers, '{}'))
      expect(answer.status).toBe(415)
      expect(answer.headers['accept-encoding']).toBe('identity')
    },
  )
})

describe('a webhook, as it is received,', () => {
  test('has the exact bytes of the body, also where parsing JSON would change them', async () => {
    const service = await startPublic()
    const body = Buffer.from([0x7b, 0x20, 0xff, 0xfe, 0x00, 0x0d, 0x0a, 0x7d])
    expect((await post(`${service.url}/v1/webhooks/ai`, { body })).status).toBe(200)
    expect(service.received[0]?.body).toEqual(body)
  })

  test('has an empty buffer where there is no body', async () => {
    const service = await startPublic()
    const answer = await exchangeOne(service.port, requestText('POST', '/v1/webhooks/ai', ['Content-Length: 0']))
    expect(answer.status).toBe(200)
    expect(service.received[0]?.body).toEqual(Buffer.alloc(0))
  })

  test('has the chunks of its body joined', async () => {
    const service = await startPublic()
    const head = requestText('POST', '/v1/webhooks/ai', ['Transfer-Encoding: chunked'])
    const answer = await exchangeOne(
      service.port,
      `${head}3\r\nabc\r\n`,
      '4;ext=1\r\ndefg\r\n',
      '0\r\nX-Trailer: 1\r\n\r\n',
    )
    expect(answer.status).toBe(200)
    expect(service.received[0]?.body.toString()).toBe('abcdefg')
  })

  test('has its headers without a prototype, in lower case, with repeated ones joined', async () => {
    const service = await startPublic()
    const headers = [
      'X-Sig: a',
      'X-Sig: b',
      '__proto__: evil',
      'constructor: evil',
      'Set-Cookie: a=1',
      'Set-Cookie: b=2',
    ]
    const answer = await exchangeOne(
      service.port,
      requestText('POST', '/v1/webhooks/ai?token=1&x=%20', [...headers, 'Content-Length: 2'], '{}'),
    )
    expect(answer.status).toBe(200)
    const incoming = service.received[0]
    expect(Object.getPrototypeOf(incoming?.headers)).toBeNull()
    expect(incoming?.headers).toMatchObject({ 'x-sig': 'a, b', constructor: 'evil', 'set-cookie': 'a=1, b=2' })
    expect(incoming?.query).toBe('token=1&x=%20')
    expect(incoming?.source.name).toBe('ai')
  })

  test('is complete where the client sends Accept-Version or Expect: 100-continue', async () => {
    const service = await startPublic()
    const headers = { ...JSON_TYPE, 'accept-version': '9.x' }
    expect((await post(`${service.url}/v1/webhooks/ai`, { headers })).status).toBe(200)
    await new Promise<void>((resolve, reject) => {
      const request = httpRequest(`${service.url}/v1/webhooks/ai`, {
        method: 'POST',
        headers: { expect: '100-continue' },
      })
      request.on('continue', () => request.end('{}'))
      request.on('response', (answer) => {
        expect(answer.statusCode).toBe(200)
        answer.resume().on('end', resolve)
      })
      request.on('error', reject)
      request.flushHeaders()
    })
    expect(service.received).toHaveLength(2)
  })
})

describe('a webhook whose headers cannot verify', () => {
  const unsigned: Source = { ...source('ai'), precheck: () => ({ ok: false, reason: 'missing' }) }
  const sources = new Map([['ai', unsigned]])

  test('is refused before its body is read, and its connection is closed where the body could be long', async () => {
    const service = await startPublic({ sources })
    const head = requestText('POST', '/v1/webhooks/ai', ['Transfer-Encoding: chunked']).replace('close', 'keep-alive')
    const answer = await exchangeOne(service.port, head)
    expect([answer.status, answer.headers.connection]).toEqual([401, 'close'])
    expect(service.counted).toEqual([['ai', 'signature_missing']])
    expect(service.received).toEqual([])
  })

  test('gets one answer, though the body that follows at once is broken', async () => {
    const service = await startPublic({ sources })
    const broken = requestText('POST', '/v1/webhooks/ai', ['Transfer-Encoding: chunked'], 'zz\r\n')
    expect((await exchange(service.port, broken)).map(({ status }) => status)).toEqual([401])
    expect(service.counted).toEqual([['ai', 'signature_missing']])
  })

  test('gets 413 if its Content-Length is over the limit', async () => {
    const service = await startPublic({ sources })
    const text = requestText('POST', '/v1/webhooks/ai', ['Content-Length: 1001'])
    expect((await exchangeOne(service.port, text)).status).toBe(413)
  })

  test('gets 415 if its content type is not the provider’s either', async () => {
    const service = await startPublic({ sources })
    const headers = ['Content-Type: text/html', 'Content-Length: 2']
    const answer = await exchangeOne(service.port, requestText('POST', '/v1/webhooks/ai', headers, '{}'))
    expect(answer.status).toBe(415)
  })
})

describe('the body of a webhook', () => {
  test('whose Content-Length is over the limit gets 413, and the sender can read the answer', async () => {
    const service = await startPublic()
    const answer = await post(`${service.url}/v1/webhooks/ai`, { body: Buffer.alloc(5_000_000, 0x20) })
    await expectProblem(answer, 413, 'too-large')
    expect(service.counted).toEqual([['ai', 'too_large']])
    expect(service.received).toEqual([])
  })

  test('whose chunks are over the limit gets 413', async () => {
    const service = await startPublic()
    const head = requestText('POST', '/v1/webhooks/ai', ['Transfer-Encoding: chunked'])
    const chunk = `200\r\n${' '.repeat(0x200)}\r\n`
    const answer = await exchangeOne(service.port, head, chunk, chunk, chunk, '0\r\n\r\n')
    expect(answer.status).toBe(413)
  })

  test('is accepted at exactly the limit, and gets 413 with one byte more', async () => {
    const service = await startPublic()
    expect((await post(`${service.url}/v1/webhooks/ai`, { body: ' '.repeat(1_000) })).status).toBe(200)
    expect((await post(`${service.url}/v1/webhooks/ai`, { body: ' '.repeat(1_001) })).status).toBe(413)
  })
})
