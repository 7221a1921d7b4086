import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { describe, expect, test } from 'vitest'
import type { Source } from '../../src/domain/source.ts'
import { exchangeOne, requestText } from './exchange.ts'
import { source, startPublic } from './public-service.ts'

const CHUNKED = requestText('POST', '/v1/webhooks/ai', ['Transfer-Encoding: chunked'])
const LAST_CHUNK = '0\r\n\r\n'
const chunk = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`

test.each([1, 2, 3, 7, 499, 700])('a body in pieces of %i bytes is joined in the order of its bytes', async (size) => {
  const service = await startPublic()
  const body = Array.from({ length: 700 }, (_, at) => String.fromCharCode(33 + (at % 90))).join('')
  const pieces = body.match(new RegExp(`.{1,${size}}`, 'g')) ?? []
  const answer = await exchangeOne(service.port, CHUNKED, pieces.map(chunk).join('') + LAST_CHUNK)
  expect(answer.status).toBe(200)
  expect(service.received[0]?.body.toString()).toBe(body)

  const declared = requestText('POST', '/v1/webhooks/ai', [`Content-Length: ${body.length}`])
  const socket = connect(service.port, '127.0.0.1').setNoDelay()
  for (const piece of [declared, ...pieces]) await new Promise((resolve) => socket.write(piece, resolve))
  await once(socket.resume(), 'close')
  expect(service.received[1]?.body.toString()).toBe(body)
})

/** Little enough to be parsed in one piece, with its framing. */
const HALF_BYTES = 500

/** A sender that has sent half a body, all of which the service has read. */
async function halfway(
  port: number,
  localAddress = '127.0.0.1',
  headers: readonly string[] = [],
  source = 'ai',
): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', localAddress })
  const head = ['Expect: 100-continue', 'Transfer-Encoding: chunked', ...headers]
  socket.write(requestText('POST', `/v1/webhooks/${source}`, head))
  await once(socket, 'data')
  await new Promise((resolve) => socket.write(chunk('a'.repeat(HALF_BYTES)), resolve))
  return socket
}

const whole = (bytes: number): string =>
  requestText('POST', '/v1/webhooks/ai', [`Content-Length: ${bytes}`], 'b'.repeat(bytes))

/** The first answer on a connection. */
async function answerOn(socket: Socket): Promise<string> {
  const [answer] = (await once(socket, 'data')) as [Buffer]
  return answer.toString()
}

const OVERLOADED = /^HTTP\/1\.1 503 .*retry-after: 5\r\n/s

test('bodies that arrive at once are bounded together: the largest gets 503, and its room is given back', async () => {
  const service = await startPublic({ maxArrivingBytes: 1_700 })
  const statusOf = async (bytes: number) => (await exchangeOne(service.port, whole(bytes))).status
  const endings: ((socket: Socket) => Promise<unknown>)[] = [
    (socket) => {
      socket.write(LAST_CHUNK)
      return service.countedAtLeast(service.counted.length + 1)
    },
    (socket) => {
      socket.write(chunk('a'.repeat(HALF_BYTES + 1)))
      return service.countedAtLeast(service.counted.length + 1)
    },
    async (socket) => {
      socket.resetAndDestroy()
    },
  ]
  for (const end of [...endings, ...endings]) {
    const refused = await halfway(service.port)
    const sockets = [await halfway(service.port), await halfway(service.port)]
    const answer = answerOn(refused)
    const small = await halfway(service.port)
    expect(await answer).toMatch(OVERLOADED)
    expect(service.counted.at(-1)).toEqual(['ai', 'unavailable'])
    expect(await statusOf(100)).toBe(200)
    for (const socket of [...sockets, small]) await end(socket)
    // The service learns of a reset when it next looks.
    while ((await statusOf(900)) !== 200);
    // What the refused one still sends is not held, even when there is room again.
    refused.write(chunk('b'.repeat(300)))
    const other = await halfway(service.port)
    expect(await statusOf(900)).toBe(200)
    for (const socket of [...sockets, small, refused, other]) socket.destroy()
  }
  expect(service.counted.some(([, outcome]) => outcome === 'error')).toBe(false)
})

test.each([
  ['with an address of its own', {}, '127.0.0.2', []],
  ['that a trusted proxy names', { trustProxy: ['127.0.0.1'] }, '127.0.0.1', ['X-Forwarded-For: 203.0.113.9']],
])(
  'the bodies of one peer, however many, leave room for those of another peer %s',
  async (_which, options, local, headers) => {
    const service = await startPublic({ maxArrivingBytes: 1_700, ...options })
    const flood = [await halfway(service.port, local, headers), await halfway(service.port, local, headers)]
    const honest = await halfway(service.port)
    const answers = flood.map(answerOn)
    flood.push(await halfway(service.port, local, headers))
    expect(await Promise.race(answers)).toMatch(OVERLOADED)
    expect((await exchangeOne(service.port, whole(400))).status).toBe(200)
    const answer = answerOn(honest)
    honest.write(LAST_CHUNK)
    expect(await answer).toMatch(/^HTTP\/1\.1 200/)
    for (const socket of [...flood, honest]) socket.destroy()
  },
)

test('bodies whose headers show no signature leave room for those that look signed', async () => {
  const bodySigned: Source = { ...source('body'), precheck: () => undefined }
  const service = await startPublic({
    maxArrivingBytes: 1_700,
    sources: new Map([
      ['ai', source('ai')],
      ['body', bodySigned],
    ]),
  })
  const unsigned = await halfway(service.port, '127.0.0.1', [], 'body')
  const signed = [await halfway(service.port, '127.0.0.2'), await halfway(service.port, '127.0.0.2')]
  const answer = answerOn(unsigned)
  signed.push(await halfway(service.port, '127.0.0.2'))
  expect(await answer).toMatch(OVERLOADED)
  for (const socket of [unsigned, ...signed]) socket.destroy()
})

describe('a body that is mostly framing', () => {
  const LIMIT_BYTES = 100_000
  const one = '1\r\nx\r\n'

  test.each([
    ['one-byte chunks', async (socket: Socket) => void socket.write(CHUNKED + one.repeat(20_000))],
    [
      'chunk extensions',
      async (socket: Socket) => void socket.write(CHUNKED + `1;a=${'b'.repeat(16_000)}\r\nx\r\n`.repeat(20)),
    ],
  ])('of %s gets 400, and its connection is closed', async (_what, send) => {
    const service = await startPublic({ bodyLimitBytes: LIMIT_BYTES })
    const socket = connect(service.port, '127.0.0.1').setNoDelay()
    socket.on('error', () => {})
    const answer = answerOn(socket)
    const closed = once(socket, 'close')
    await send(socket)
    expect(await answer).toMatch(/^HTTP\/1\.1 400 .*connection: close/s)
    await closed
    expect(service.counted).toEqual([['ai', 'malformed']])
    expect(service.logged).toContainEqual(expect.objectContaining({ outcome: 'malformed', reason: 'too many pieces' }))
  })

  test('is accepted where its pieces are as large as those that senders make', async () => {
    const service = await startPublic({ bodyLimitBytes: LIMIT_BYTES })
    const pieces = `30\r\n${'x'.repeat(48)}\r\n`.repeat(1_500)
    expect((await exchangeOne(service.port, CHUNKED, one.repeat(1_000), pieces, LAST_CHUNK)).status).toBe(200)
  })
})
