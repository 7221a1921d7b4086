import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { connect } from 'node:net'
import { describe, expect, test } from 'vitest'
import { HoldfastError } from '../../src/domain/errors.ts'
import type { Received } from '../../src/domain/receive.ts'
import { exchangeOne, requestText } from './exchange.ts'
import { expectProblem, JSON_TYPE, post, startPublic, UID } from './public-service.ts'

describe('a webhook', () => {
  test.each(['/v1/webhooks/ai', '/v1/webhooks/ai/', '/webhooks/ai', '/webhooks/ai/'])(
    'is acknowledged at %s',
    async (path) => {
      const service = await startPublic()
      const answer = await post(service.url + path)
      expect(answer.status).toBe(200)
      expect(answer.headers.get('content-type')).toBe('application/json; charset=utf-8')
      expect(await answer.text()).toBe(`{"received":true,"uid":"${UID}","duplicate":false}`)
      expect(service.counted).toEqual([['ai', 'accepted']])
      expect(service.acknowledged).toEqual([['ai', expect.any(Number)]])
    },
  )

  test.each([
    ['accepted', false],
    ['unhandled', false],
    ['quarantined', false],
    ['conflict', false],
    ['duplicate', true],
  ] as const)('that is %s gets 200 with duplicate=%s', async (outcome, duplicate) => {
    const service = await startPublic({ receive: async () => ({ outcome, uid: UID }) })
    const answer = await post(`${service.url}/v1/webhooks/ai`)
    expect(answer.status).toBe(200)
    expect(await answer.json()).toEqual({ received: true, uid: UID, duplicate })
    expect(service.counted).toEqual([['ai', outcome]])
  })

  test('gets the same 401 whether its signature is missing, malformed, wrong or stale', async () => {
    const answers = new Set<string>()
    for (const outcome of [
      'signature_missing',
      'signature_malformed',
      'signature_mismatch',
      'timestamp_stale',
    ] as const) {
      const service = await startPublic({ receive: async () => ({ outcome, aheadMs: 0 }) })
      const answer = await post(`${service.url}/v1/webhooks/ai`, { headers: { ...JSON_TYPE, 'x-request-id': 'same' } })
      const { date: _date, ...headers } = Object.fromEntries(answer.headers)
      answers.add(JSON.stringify([answer.status, headers, await answer.text()]))
      expect(service.counted).toEqual([['ai', outcome]])
    }
    expect(answers.size).toBe(1)
    expect([...answers][0]).toContain('401')
  })

  test.each([
    ['malformed', 400, 'malformed'],
    ['unavailable', 503, 'unavailable'],
  ] as const)('that is %s gets %i', async (outcome, status, slug) => {
    const service = await startPublic({ receive: async (): Promise<Received> => ({ outcome }) })
    const answer = await post(`${service.url}/v1/webhooks/ai`)
    await expectProblem(answer, status, slug)
    expect(answer.headers.get('retry-after')).toBe(status === 503 ? '5' : null)
    expect(service.counted).toEqual([['ai', outcome]])
    expect(service.acknowledged).toEqual([])
  })

  test('that meets an internal error gets 500 without details, and the log has all of them', async () => {
    const service = await startPublic({
      receive: async () => {
        throw new Error('disk at /var/secret is on fire')
      },
    })
    const answer = await post(`${service.url}/v1/webhooks/ai`, { headers: { ...JSON_TYPE, 'x-request-id': 'r-1' } })
    const problem = await expectProblem(answer, 500, 'internal')
    expect(problem.detail).toBeUndefined()
    expect(service.counted).toEqual([['ai', 'error']])
    expect(service.logged).toContainEqual(
      expect.objectContaining({
        reqId: 'r-1',
        err: expect.objectContaining({ message: 'disk at /var/secret is on fire' }),
      }),
    )
  })

  test('gets 503 where the store refuses by throwing', async () => {
    const service = await startPublic({
      receive: async () => {
        throw new HoldfastError('unavailable', 'full')
      },
    })
    const answer = await post(`${service.url}/v1/webhooks/ai`)
    await expectProblem(answer, 503, 'unavailable')
    expect(answer.headers.get('retry-after')).toBe('5')
    expect(service.counted).toEqual([['ai', 'unavailable']])
  })

  test('gets 503 while the service drains', async () => {
    let draining = false
    const service = await startPublic({ isDraining: () => draining })
    expect((await post(`${service.url}/v1/webhooks/ai`)).status).toBe(200)
    draining = true
    await expectProblem(await post(`${service.url}/v1/webhooks/ai`), 503, 'unavailable')
    expect(service.received).toHaveLength(1)
  })

  test('to a process that takes no webhooks gets 503 with the reason and never 4xx, whatever it contains', async () => {
    let closed: string | undefined = 'this process is a worker'
    const service = await startPublic({ closed: () => closed, requireHttps: true })
    for (const [path, init] of [
      ['/v1/webhooks/ai', {}],
      ['/webhooks/nobody', {}],
      ['/v1/webhooks/ai', { method: 'PUT' }],
      ['/v1/webhooks/ai', { headers: { 'content-type': 'text/html' } }],
      ['/v1/webhooks/ai', { body: 'x'.repeat(2_000) }],
    ] as const) {
      const answer = await post(service.url + path, init)
      expect(answer.headers.get('retry-after')).toBe('5')
      expect(await expectProblem(answer, 503, 'unavailable')).toMatchObject({ detail: 'this process is a worker' })
    }
    expect(service.received).toEqual([])
    expect(new Set(service.counted.map(([, outcome]) => outcome))).toEqual(new Set(['unavailable']))
    closed = undefined
    await expectProblem(await post(`${service.url}/v1/webhooks/ai`), 426, 'https-required')
  })

  test('that was under way when the service began to drain is taken', async () => {
    let draining = false
    const service = await startPublic({ isDraining: () => draining })
    const sending = request(`${service.url}/v1/webhooks/ai`, {
      method: 'POST',
      headers: { ...JSON_TYPE, expect: '100-continue', 'content-length': 12 },
    })
    await once(sending, 'continue')
    draining = true
    sending.end('{"type":"a"}')
    const [answer] = (await once(sending, 'response')) as [IncomingMessage]
    answer.resume()
    expect(answer.statusCode).toBe(200)
    expect(answer.headers.connection).toBe('close')
  })

  test('is the last on its connection when the service drains, unless an earlier request there is still to be answered', async () => {
    let draining = false
    const taken: (() => void)[] = []
    const both = Promise.withResolvers<void>()
    const service = await startPublic({
      isDraining: () => draining,
      receive: () =>
        new Promise((resolve) => {
          taken.push(() => resolve({ outcome: 'accepted', uid: UID }))
          if (taken.length === 2) both.resolve()
        }),
    })
    const one = requestText('POST', '/v1/webhooks/ai', ['Content-Length: 2'], '{}').replace('close', 'keep-alive')
    const socket = connect(service.port, '127.0.0.1')
    socket.write(one + one)
    await both.promise
    draining = true
    const answers: string[] = []
    for (const take of taken) {
      take()
      answers.push(String((await once(socket, 'data'))[0]))
    }
    await once(socket, 'end')
    expect(answers).toEqual([
      expect.stringMatching(/^HTTP\/1\.1 200 .*\nConnection: keep-alive\r/s),
      expect.stringMatching(/^HTTP\/1\.1 200 .*\nconnection: close\r/s),
    ])
  })

  test('is answered even when its sender has closed its side of the connection', async () => {
    const service = await startPublic({
      receive: async () => {
        // Until the end of the connection's other half has come in, too.
        for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setTimeout(resolve, 1))
        return { outcome: 'accepted', uid: UID }
      },
    })
    const socket = connect({ port: service.port, host: '127.0.0.1', allowHalfOpen: true })
    socket.end(
      requestText('POST', '/v1/webhooks/ai', ['Content-Type: application/json', 'Content-Length: 12'], '{"type":"a"}'),
    )
    let answer = ''
    for await (const chunk of socket) answer += String(chunk)
    expect(answer).toMatch(/^HTTP\/1\.1 200 /)
  })
})

describe('a webhook of an unknown source', () => {
  test.each(['nope', 'constructor', '__proto__', 'toString', 'AI', 'a'.repeat(500), 'a%2Fb', '%E2%82%AC'])(
    'named %s gets 404',
    async (name) => {
      const service = await startPublic()
      await expectProblem(await post(`${service.url}/v1/webhooks/${name}`), 404, 'unknown-source')
      expect(service.counted).toEqual([[undefined, 'unknown_source']])
      expect(JSON.stringify(service.logged)).not.toContain(name)
    },
  )

  test('gets 404 whatever its method', async () => {
    const service = await startPublic()
    await expectProblem(await fetch(`${service.url}/v1/webhooks/nope`), 404, 'unknown-source')
  })
})

describe('a request to the public listener', () => {
  test.each(['GET', 'OPTIONS', 'PUT', 'PATCH', 'DELETE', 'PROPFIND'])(
    'with %s to a webhook’s path gets 405 with Allow',
    async (method) => {
      const service = await startPublic()
      const answer = await fetch(`${service.url}/v1/webhooks/ai`, { method })
      await expectProblem(answer, 405, 'method-not-allowed')
      expect(answer.headers.get('allow')).toBe('POST')
      expect(service.counted).toEqual([['ai', 'method_not_allowed']])
    },
  )

  test('with HEAD to a webhook’s path gets 405 without a body', async () => {
    const service = await startPublic()
    const answer = await exchangeOne(service.port, requestText('HEAD', '/v1/webhooks/ai', []))
    expect(answer).toMatchObject({ status: 405, headers: { allow: 'POST' }, body: '' })
  })

  test.each(['/livez', '/readyz'])('with POST to %s gets 405 naming GET and HEAD', async (path) => {
    const service = await startPublic()
    const answer = await post(service.url + path)
    await expectProblem(answer, 405, 'method-not-allowed')
    expect(answer.headers.get('allow')).toBe('GET, HEAD')
    expect(service.counted).toEqual([])
  })
})

describe('where HTTPS is required, the public listener', () => {
  test('answers a webhook by HTTP with 426, and health checks as ever', async () => {
    const service = await startPublic({ requireHttps: true })
    const answer = await exchangeOne(service.port, requestText('POST', '/v1/webhooks/ai', ['Content-Length: 2'], '{}'))
    expect(answer.status).toBe(426)
    expect(answer.headers.upgrade).toBe('TLS/1.2, HTTP/1.1')
    expect((await fetch(`${service.url}/elsewhere`)).status).toBe(426)
    expect((await fetch(`${service.url}/livez`)).status).toBe(200)
    expect(service.counted).toEqual([['ai', 'insecure']])
  })

  test('believes X-Forwarded-Proto of a trusted proxy, and of no other', async () => {
    const headers = { ...JSON_TYPE, 'x-forwarded-proto': 'https' }
    const behind = await startPublic({ requireHttps: true, trustProxy: ['127.0.0.0/8'] })
    expect((await post(`${behind.url}/v1/webhooks/ai`, { headers })).status).toBe(200)
    expect((await post(`${behind.url}/v1/webhooks/ai`)).status).toBe(426)
    const elsewhere = await startPublic({ requireHttps: true, trustProxy: ['10.0.0.0/8'] })
    expect((await post(`${elsewhere.url}/v1/webhooks/ai`, { headers })).status).toBe(426)
  })
})

describe('the log of the public listener', () => {
  test('has one line for a stored event, with its uid and duration', async () => {
    const service = await startPublic()
    await post(`${service.url}/v1/webhooks/ai?key=hush`, { headers: { ...JSON_TYPE, 'x-request-id': 'abc' } })
    expect(service.logged).toEqual([
      expect.objectContaining({
        level: 20,
        reqId: 'abc',
        source: 'ai',
        outcome: 'accepted',
        uid: UID,
        status: 200,
        duration_ms: expect.any(Number),
      }),
    ])
  })

  test('has one warning for a refused webhook, with the reason that the sender does not get', async () => {
    const service = await startPublic({ receive: async () => ({ outcome: 'timestamp_stale', aheadMs: -420_300 }) })
    await post(`${service.url}/v1/webhooks/ai?key=hush`, { body: 'secret body' })
    expect(service.logged).toEqual([expect.objectContaining({ level: 40, outcome: 'timestamp_stale', status: 401 })])
    expect(JSON.stringify(service.logged)).not.toMatch(/hush|secret/)
  })

  test('takes over a request id only where it is short and plain', async () => {
    const service = await startPublic()
    const idFor = async (id: string) =>
      (await post(`${service.url}/v1/webhooks/ai`, { headers: { ...JSON_TYPE, 'x-request-id': id } })).headers.get(
        'x-request-id',
      )
    expect(await idFor('trace-1.a_B')).toBe('trace-1.a_B')
    const generated = [await idFor('a b'), await idFor('a'.repeat(65)), await idFor('{"a":1}')]
    for (const id of generated) expect(id).toMatch(/^[0-9a-f]{12}-[0-9a-z]+$/)
    expect(new Set(generated).size).toBe(3)
  })
})
