import { once } from 'node:events'
import { connect } from 'node:net'
import { describe, expect, test } from 'vitest'
import { exchange, exchangeOne, requestText } from './exchange.ts'
import { startPublic } from './public-service.ts'

const PROBLEM = 'application/problem+json'
const SOON = { headersMs: 200, requestMs: 400 }

const webhookHead = (length: number) => requestText('POST', '/v1/webhooks/ai', [`Content-Length: ${length}`])

describe('the public listener', () => {
  test('answers GET and HEAD of /livez and /readyz with 200', async () => {
    const service = await startPublic()
    const answer = await fetch(`${service.url}/livez`)
    expect([answer.status, await answer.json()]).toEqual([200, { status: 'live' }])
    const ready = await fetch(`${service.url}/readyz/`)
    expect([ready.status, await ready.json()]).toEqual([200, { status: 'ready' }])
    expect(ready.headers.get('cache-control')).toBe('no-store')
    for (const path of ['/livez', '/readyz']) {
      expect(await exchangeOne(service.port, requestText('HEAD', path, []))).toMatchObject({ status: 200, body: '' })
    }
  })

  test('answers /readyz with 503 and the reasons while nothing can be stored, and /livez still with 200', async () => {
    const service = await startPublic({ readiness: () => ['the disk is full'] })
    const answer = await fetch(`${service.url}/readyz`)
    expect(answer.status).toBe(503)
    expect(answer.headers.get('retry-after')).toBe('5')
    expect(await answer.json()).toMatchObject({ status: 503, reasons: ['the disk is full'] })
    expect((await fetch(`${service.url}/livez`)).status).toBe(200)
  })
})

describe('the public listener', () => {
  test.each([
    '/',
    '/v1/webhooks',
    '/v1/webhooks/',
    '/v1/webhooks/ai/x',
    '/v2/webhooks/ai',
    '/v1//webhooks/ai',
    '/metrics',
    '/v1/events',
  ])('answers the path %s, which is not that of a webhook, with a 404 problem that is not counted', async (path) => {
    const service = await startPublic()
    const answer = await exchangeOne(service.port, requestText('POST', path, ['Content-Length: 2'], '{}'))
    expect([answer.status, answer.headers['content-type']]).toEqual([404, PROBLEM])
    expect(answer.body).not.toContain(path === '/' ? 'Route' : path)
    expect(service.counted).toEqual([])
  })

  test.each(['/v1/webhooks/%', '/v1/webhooks/%E0%A4%A', '/webhooks/%zz'])(
    'answers the path %s, which cannot be decoded, with 400',
    async (path) => {
      const service = await startPublic()
      const answer = await exchangeOne(service.port, requestText('POST', path, []))
      expect([answer.status, answer.headers['content-type']]).toEqual([400, PROBLEM])
      expect(service.counted).toEqual([[undefined, 'malformed']])
    },
  )

  test('accepts a percent sign in the query string', async () => {
    const service = await startPublic()
    const head = requestText('POST', '/v1/webhooks/ai?a=%&b=%E0%A4', ['Content-Length: 2'], '{}')
    expect((await exchangeOne(service.port, head)).status).toBe(200)
    expect(service.received[0]?.query).toBe('a=%&b=%E0%A4')
  })
})

describe('a slow sender', () => {
  test('that sends half a body gets 408, counted for its source', async () => {
    const service = await startPublic({ timeouts: SOON })
    const answer = await exchangeOne(service.port, webhookHead(10), '{"a"')
    expect([answer.status, answer.headers['content-type'], answer.headers.connection]).toEqual([408, PROBLEM, 'close'])
    expect(service.counted).toEqual([['ai', 'timeout']])
    expect(service.received).toEqual([])
  })

  test('that never ends its chunks gets 408', async () => {
    const service = await startPublic({ timeouts: SOON })
    const head = requestText('POST', '/v1/webhooks/ai', ['Transfer-Encoding: chunked'])
    expect((await exchangeOne(service.port, head, '5\r\nab')).status).toBe(408)
  })

  test('that sends half its headers gets 408, counted for no source', async () => {
    const service = await startPublic({ timeouts: SOON })
    const answer = await exchangeOne(service.port, 'POST /v1/webhooks/ai HTTP/1.1\r\nHost: a\r\nX-Slow')
    expect([answer.status, answer.headers['content-type']]).toEqual([408, PROBLEM])
    expect(service.counted).toEqual([[undefined, 'timeout']])
  })

  test('that was refused and goes on sending gets its refusal, and is cut off in the end', async () => {
    const service = await startPublic({ timeouts: SOON })
    const head = `POST /v1/webhooks/nope HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n`
    const [first] = await exchange(service.port, head, 'half')
    expect(first?.status).toBe(404)
  })

  test('is timed out, and a complete request beside it that takes longer to store is not', async () => {
    const slow = Promise.withResolvers<void>()
    const service = await startPublic({
      timeouts: { headersMs: 50, requestMs: 100 },
      receive: async () => {
        await slow.promise
        return { outcome: 'accepted', uid: 'u' }
      },
    })
    const answer = exchangeOne(service.port, requestText('POST', '/v1/webhooks/ai', ['Content-Length: 2'], '{}'))
    // An idle connection beside it is timed out, so the check has run over both.
    expect((await exchangeOne(service.port, 'POST / HTTP/1.1\r\n')).status).toBe(408)
    slow.resolve()
    expect((await answer).status).toBe(200)
  })
})

describe('a request over HTTP/1.1', () => {
  test('with headers past the limit gets 431', async () => {
    const service = await startPublic()
    const answer = await exchangeOne(
      service.port,
      requestText('POST', '/v1/webhooks/ai', [`X-Big: ${'a'.repeat(20_000)}`]),
    )
    expect([answer.status, answer.headers['content-type']]).toEqual([431, PROBLEM])
    expect(service.counted).toEqual([[undefined, 'too_large']])
  })

  test.each([
    ['junk instead of HTTP', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 junk\r\n\r\n'],
    ['two lengths', requestText('POST', '/v1/webhooks/ai', ['Content-Length: 2', 'Content-Length: 3'], '{}')],
    [
      'a length and chunks',
      requestText('POST', '/v1/webhooks/ai', ['Content-Length: 2', 'Transfer-Encoding: chunked'], '{}'),
    ],
    ['a bad length', requestText('POST', '/v1/webhooks/ai', ['Content-Length: -2'], '{}')],
    ['a space before the colon', requestText('POST', '/v1/webhooks/ai', ['X-A : b'], '{}')],
  ])('with %s gets 400', async (_what, text) => {
    const service = await startPublic()
    const answer = await exchangeOne(service.port, Buffer.from(text, 'latin1'))
    expect([answer.status, answer.headers['content-type']]).toEqual([400, PROBLEM])
    expect(service.received).toEqual([])
    await service.countedAtLeast(1)
    expect(service.counted[0]?.[1]).toBe('malformed')
  })

  test('with a broken chunk gets 400, counted for its source', async () => {
    const service = await startPublic()
    const head = requestText('POST', '/v1/webhooks/ai', ['Transfer-Encoding: chunked'])
    expect((await exchangeOne(service.port, head, 'zz\r\n')).status).toBe(400)
    expect(service.counted).toEqual([['ai', 'malformed']])
    expect(service.received).toEqual([])
  })

  test('whose sender disconnects in the middle of the body gets no answer, and the next one is served', async () => {
    const service = await startPublic()
    const socket = connect(service.port, '127.0.0.1')
    socket.write(webhookHead(10))
    await once(socket, 'connect')
    socket.resetAndDestroy()
    expect(
      (await exchangeOne(service.port, requestText('POST', '/v1/webhooks/ai', ['Content-Length: 2'], '{}'))).status,
    ).toBe(200)
    expect(service.received).toHaveLength(1)
  })
})

test('pipelined requests on one connection are answered in order', async () => {
  const service = await startPublic({
    receive: async ({ body }) => ({ outcome: 'accepted', uid: body.toString() }),
  })
  const one = (body: string) =>
    `POST /v1/webhooks/ai HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`
  const last = requestText('GET', '/livez', [])
  const answers = await exchange(service.port, one('a') + one('b') + one('c') + last)
  expect(answers.map(({ status, body }) => [status, (JSON.parse(body) as { uid?: string }).uid])).toEqual([
    [200, 'a'],
    [200, 'b'],
    [200, 'c'],
    [200, undefined],
  ])
})
