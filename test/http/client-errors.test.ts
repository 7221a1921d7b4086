import { once } from 'node:events'
import { connect } from 'node:net'
import { describe, expect, test } from 'vitest'
import { exchange, exchangeOne, requestText } from './exchange.ts'
import { startPublic, UID } from './public-service.ts'

const PROBLEM = 'application/problem+json'
/** More than the kernel holds for two sockets, so that not all of it arrives while the client reads nothing. */
const MORE_BYTES = 32 * 1_048_576

const CONNECT = 'CONNECT example.test:443 HTTP/1.1\r\nHost: example.test\r\n\r\n'

const whole = (body: string, ...headers: readonly string[]) =>
  ['POST /v1/webhooks/ai HTTP/1.1', 'Host: a', `Content-Length: ${body.length}`, ...headers, '', body].join('\r\n')

describe('a sender that goes on sending after it was refused', () => {
  test.each([
    ['431', `POST /v1/webhooks/ai HTTP/1.1\r\nHost: a\r\nX-Big: ${'a'.repeat(20_000)}`, 'too_large'],
    ['400', 'this is no HTTP\r\n\r\n', 'malformed'],
    ['400', CONNECT, 'malformed'],
  ])('with %s reads its answer, is disconnected soon, and is counted once', async (status, start, outcome) => {
    const service = await startPublic()
    const socket = connect({ port: service.port, host: '127.0.0.1', allowHalfOpen: true })
    const closed = new Promise((resolve) => socket.on('error', () => {}).on('close', resolve))
    let answers = ''
    socket.on('data', (chunk: Buffer) => {
      answers += chunk.toString()
    })
    let isTaken = false
    socket.write(start)
    socket.write(Buffer.alloc(MORE_BYTES, 'a'), (error) => {
      isTaken = !error
    })
    await closed
    expect(isTaken).toBe(false)
    expect(answers.split('\r\n')[0]).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
    expect(answers.match(/HTTP\/1\.1/g)).toHaveLength(1)
    expect(service.counted).toEqual([[undefined, outcome]])
  })

  test('is disconnected in the end', async () => {
    const service = await startPublic()
    const socket = connect({ port: service.port, host: '127.0.0.1', allowHalfOpen: true })
    const closed = new Promise((resolve) => socket.on('error', () => {}).on('close', resolve))
    socket.resume().write('this is no HTTP\r\n\r\n')
    const sending = setInterval(() => socket.write('and on it goes'), 20)
    await closed
    clearInterval(sending)
    expect(service.counted).toEqual([[undefined, 'malformed']])
  })
})

describe('a complete webhook that is followed by junk', () => {
  const JUNK = 'this is no HTTP\r\n\r\n'

  /** A service whose store takes until `release` is called. */
  async function startSlow() {
    const stored = Promise.withResolvers<void>()
    const service = await startPublic({
      receive: async () => {
        await stored.promise
        return { outcome: 'accepted', uid: UID }
      },
    })
    return { service, release: () => stored.resolve() }
  }

  test.each([
    ['on a connection that stays', [], [200, 400]],
    ['on a connection that ends', ['Connection: close'], [200]],
  ])('is stored and answered with 200, however long that takes, %s', async (_which, headers, statuses) => {
    const { service, release } = await startSlow()
    const answers = exchange(service.port, whole('{}', ...headers) + JUNK)
    await service.countedAtLeast(1)
    expect(service.received).toHaveLength(1)
    expect(service.counted.map(([, outcome]) => outcome)).toEqual(['malformed'])
    release()
    expect((await answers).map(({ status }) => status)).toEqual(statuses)
  })

  test('is stored and answered with 200 where the junk is the body of the next request', async () => {
    const { service, release } = await startSlow()
    const broken = requestText('POST', '/v1/webhooks/ai', ['Transfer-Encoding: chunked'], 'zz\r\n')
    const answers = exchange(service.port, whole('{}') + broken)
    await service.countedAtLeast(1)
    release()
    expect((await answers).map(({ status }) => status)).toEqual([200, 400])
    expect(service.received).toHaveLength(1)
  })
})

describe('the public listener', () => {
  test.each([
    ['no Host', 'POST /v1/webhooks/ai HTTP/1.1\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}'],
    ['two Hosts', requestText('POST', '/v1/webhooks/ai', ['Host: b', 'Content-Length: 2'], '{}')],
  ])('answers a request with %s with a 400 problem, and counts it', async (_what, text) => {
    const service = await startPublic()
    const answer = await exchangeOne(service.port, text)
    expect([answer.status, answer.headers['content-type']]).toEqual([400, PROBLEM])
    expect(service.received).toEqual([])
    expect(service.counted).toEqual([[undefined, 'malformed']])
  })

  test('needs no Host in a request of HTTP/1.0', async () => {
    const service = await startPublic()
    const answer = await exchangeOne(service.port, 'POST /v1/webhooks/ai HTTP/1.0\r\nContent-Length: 2\r\n\r\n{}')
    expect([answer.status, answer.headers.connection]).toEqual([200, 'close'])
  })

  test('answers CONNECT with a 400 problem', async () => {
    const service = await startPublic()
    const answer = await exchangeOne(service.port, CONNECT)
    expect([answer.status, answer.headers['content-type']]).toEqual([400, PROBLEM])
  })

  test('goes on serving after a sender of CONNECT resets its connection', async () => {
    const service = await startPublic()
    const socket = connect(service.port, '127.0.0.1')
    socket.write(CONNECT)
    await once(socket, 'data')
    socket.resetAndDestroy()
    await once(socket, 'close')
    expect((await exchangeOne(service.port, whole('{}', 'Connection: close'))).status).toBe(200)
  })
})
