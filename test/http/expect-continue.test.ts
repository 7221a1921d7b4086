import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { Source } from '../../src/domain/source.ts'
import { exchange, type RawAnswer, requestText } from './exchange.ts'
import { opsAccess, startOps } from './ops-service.ts'
import { type PublicService, source, startPublic, UID } from './public-service.ts'

const PATH = '/v1/webhooks/ai'
const BODY = '{"type":"a"}'
const LENGTH = `Content-Length: ${BODY.length}`

/** The head of a request whose sender waits to be asked for the body, and would keep the connection. */
const offer = (target: string, headers: readonly string[] = [LENGTH], method = 'POST'): string =>
  requestText(method, target, ['Expect: 100-continue', ...headers]).replace('Connection: close\r\n', '')

const outline = ({ status, headers }: RawAnswer) => [status, headers.connection]

/** A connection whose answers are waited for: `until` resolves with all that came once it matches. */
function open(port: number, localAddress = '127.0.0.1') {
  const socket: Socket = connect({ port, host: '127.0.0.1', localAddress })
  onTestFinished(() => void socket.destroy())
  let text = ''
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1')
  })
  return {
    send: (more: string) => new Promise<void>((resolve) => socket.write(more, () => resolve())),
    until: async (wanted: RegExp): Promise<string> => {
      while (!wanted.test(text)) await once(socket, 'data')
      return text
    },
  }
}

const statusesIn = (text: string) => [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => Number(status))

describe('a webhook with Expect: 100-continue', () => {
  const unsigned: Source = { ...source('unsigned'), precheck: () => ({ ok: false, reason: 'missing' }) }
  const sources = new Map([
    ['ai', source('ai')],
    ['unsigned', unsigned],
  ])

  test.each([
    ['an unknown source', 404, offer('/v1/webhooks/nobody'), {}],
    ['an unknown path', 404, offer('/elsewhere'), {}],
    ['another method', 405, offer(PATH, [LENGTH], 'PUT'), {}],
    ['too long a body', 413, offer(PATH, ['Content-Length: 1001']), {}],
    ['a compressed body', 415, offer(PATH, [LENGTH, 'Content-Encoding: gzip']), {}],
    ['no signature', 401, offer('/v1/webhooks/unsigned'), {}],
    [
      'no signature on a body of unknown length',
      401,
      offer('/v1/webhooks/unsigned', ['Transfer-Encoding: chunked']),
      {},
    ],
    ['two hosts', 400, offer(PATH, [LENGTH, 'Host: another']), {}],
    ['plain HTTP where HTTPS is required', 426, offer(PATH), { requireHttps: true }],
    ['a worker', 503, offer(PATH), { closed: () => 'this process is a worker' }],
    ['a service that stops', 503, offer(PATH), { isDraining: () => true }],
    ['a service that cannot store', 503, offer(PATH), { canStore: () => false }],
  ] as const)(
    '(%s) is refused with %i before its body is asked for, and its connection is closed',
    async (_, status, head, given) => {
      const service = await startPublic({ sources, ...given })
      const [answer, ...more] = await exchange(service.port, head)
      expect(more).toEqual([])
      expect(answer?.status).toBe(status)
      expect(answer?.headers.connection).toMatch(/\bclose$/)
      expect(service.received).toEqual([])
    },
  )

  test('is asked for its body and stored, and its connection stays open', async () => {
    const service = await startPublic()
    const { send, until } = open(service.port)
    for (const turn of [1, 2]) {
      await send(offer(PATH))
      await until(new RegExp(`(?:100 Continue.*){${turn}}\r\n\r\n$`, 's'))
      expect(service.received).toHaveLength(turn - 1)
      await send(BODY)
      expect(statusesIn(await until(new RegExp(`(?:${UID}.*){${turn}}`, 's')))).toHaveLength(2 * turn)
    }
    expect(service.received.map(({ body }) => body.toString())).toEqual([BODY, BODY])
  })

  test('is asked for its body after the requests before it on the connection are answered', async () => {
    const stored = Promise.withResolvers<void>()
    const service = await startPublic({
      receive: async () => {
        await stored.promise
        return { outcome: 'accepted', uid: UID }
      },
    })
    const { send, until } = open(service.port)
    await send(requestText('POST', PATH, [LENGTH], BODY).replace('Connection: close\r\n', '') + offer(PATH))
    while (service.received.length < 1) await new Promise((resolve) => setImmediate(resolve))
    stored.resolve()
    expect(statusesIn(await until(/100 Continue/))).toEqual([200, 100])
    await send(BODY)
    expect(statusesIn(await until(/100 Continue.*200 OK/s))).toEqual([200, 100, 200])
  })

  test('whose body comes without waiting is taken, or refused once', async () => {
    const service = await startPublic({ sources })
    const whole = (target: string) => requestText('POST', target, ['Expect: 100-continue', LENGTH], BODY)
    expect((await exchange(service.port, whole(PATH))).at(-1)?.status).toBe(200)
    expect((await exchange(service.port, whole('/v1/webhooks/unsigned'))).map(outline)).toEqual([[401, 'close']])
    expect(service.received).toHaveLength(1)
  })

  test('is refused after it was asked for its body when the body is too long or never comes', async () => {
    const service = await startPublic({ timeouts: { headersMs: 500, requestMs: 500 } })
    const { send, until } = open(service.port)
    await send(offer(PATH, ['Transfer-Encoding: chunked']))
    await until(/100 Continue/)
    await send(`3e9\r\n${'a'.repeat(1_001)}\r\n`)
    expect(statusesIn(await until(/413/))).toEqual([100, 413])
    expect((await exchange(service.port, offer(PATH))).map(({ status }) => status)).toEqual([100, 408])
    expect(service.counted).toEqual([
      ['ai', 'too_large'],
      ['ai', 'timeout'],
    ])
  })

  test('is refused where there is no room for its body, and asked for its body where a body of another peer has to give way', async () => {
    const service = await startPublic({ maxArrivingBytes: 1_700 })
    for (const _ of [1, 2]) {
      const { send, until } = open(service.port)
      await send(offer(PATH, ['Content-Length: 801']))
      await until(/100 Continue/)
      await send('a'.repeat(800))
    }
    // What was sent is held as soon as this is answered.
    expect((await exchange(service.port, requestText('GET', '/livez', []))).map(({ status }) => status)).toEqual([200])
    const large = await exchange(service.port, offer(PATH, ['Content-Length: 900']))
    expect(large.map(outline)).toEqual([[503, 'close']])
    expect(large[0]?.headers['retry-after']).toBe('5')
    for (const [length, peer] of [
      [900, '127.0.0.2'],
      [700, '127.0.0.1'],
      [50, '127.0.0.1'],
    ] as const) {
      const { send, until } = open(service.port, peer)
      await send(offer(PATH, [`Content-Length: ${length}`]))
      expect(statusesIn(await until(/\r\n\r\n/))).toEqual([100])
    }
  })
})

describe('a webhook with an Expect header', () => {
  const statuses = async (service: PublicService, head: string) =>
    (await exchange(service.port, head)).map(({ status }) => status)

  test.each(['200-ok', 'a miracle', '100-continue, more', '100-continue=yes', 'a="b, 100-continue"'])(
    'of "%s" gets 417, and its body is not asked for',
    async (expectation) => {
      const service = await startPublic()
      const head = requestText('POST', PATH, [`Expect: ${expectation}`, LENGTH]).replace('Connection: close\r\n', '')
      const answers = await exchange(service.port, head)
      expect(answers.map(outline)).toEqual([[417, 'close']])
      expect(answers[0]?.headers['content-type']).toBe('application/problem+json')
      expect(service.counted).toEqual([[undefined, 'expectation_failed']])
      expect(service.logged).toContainEqual(expect.objectContaining({ outcome: 'expectation_failed', status: 417 }))
    },
  )

  test.each(['', ',', ' , '])('of nothing ("%s") is taken as one without the header', async (expectation) => {
    const service = await startPublic()
    expect(await statuses(service, requestText('POST', PATH, [`Expect: ${expectation}`, LENGTH], BODY))).toEqual([200])
  })

  test.each([['Expect: 100-Continue'], ['Expect: 100-continue', 'Expect: 100-CONTINUE'], ['expect: ,100-continue ,']])(
    'written as “%s” is asked for its body',
    async (...lines) => {
      const service = await startPublic()
      const text = requestText('POST', PATH, [...lines, LENGTH], BODY)
      expect(await statuses(service, text)).toEqual([100, 200])
    },
  )

  test.each(['100-continue', 'a miracle'])(
    'of "%s" in HTTP/1.0 is taken as one without the header',
    async (expectation) => {
      const service = await startPublic({ canStore: () => false })
      const head = `POST ${PATH} HTTP/1.0\r\nExpect: ${expectation}\r\n${LENGTH}\r\n\r\n`
      expect(await statuses(service, head + BODY)).toEqual([200])
    },
  )
})

describe('the ops listener', () => {
  const JSON_LENGTH = ['Content-Type: application/json', LENGTH]

  test('refuses a request with Expect: 100-continue by its headers, or asks for its body', async () => {
    const service = await startOps({ access: opsAccess({ tokens: ['a-token-of-operators'] }) })
    const bearer = 'Authorization: Bearer a-token-of-operators'
    for (const [head, status] of [
      [offer('/v1/tasks', JSON_LENGTH), 401],
      [offer('/v1/tasks', [bearer, 'Content-Type: application/json', 'Content-Length: 99999999']), 413],
      [offer('/v1/tasks', [bearer, 'Content-Type: text/plain', LENGTH]), 415],
      [offer('/v1/nothing', [bearer, ...JSON_LENGTH]), 404],
      [offer('/v1/tasks', [bearer, ...JSON_LENGTH], 'PUT'), 405],
      [requestText('POST', '/v1/tasks', [bearer, 'Expect: a miracle', ...JSON_LENGTH]), 417],
    ] as const)
      expect((await exchange(service.port, head)).map(outline)).toEqual([[status, 'close']])
    const { send, until } = open(service.port)
    await send(offer('/v1/tasks', [bearer, ...JSON_LENGTH]))
    await until(/100 Continue\r\n\r\n$/)
    await send(BODY)
    expect(statusesIn(await until(/required property/))).toEqual([100, 400])
  })
})
