import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import { exchangeOne, requestText } from './exchange.ts'
import { startPublic } from './public-service.ts'

const CHUNKED = requestText('POST', '/v1/webhooks/ai', ['Transfer-Encoding: chunked'])
const LAST_CHUNK = '0\r\n\r\n'
const chunk = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`

test.each([1, 2, 3, 7, 499, 700])('a body in pieces of %i bytes is put together as it came', async (size) => {
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

const HALF_BYTES = 600

/** A sender that has sent half a body, all of which the service has read. */
async function halfway(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  socket.write(`${requestText('POST', '/v1/webhooks/ai', ['Expect: 100-continue', 'Transfer-Encoding: chunked'])}`)
  await once(socket, 'data')
  await new Promise((resolve) => socket.write(chunk('a'.repeat(HALF_BYTES)), resolve))
  return socket
}

const whole = (bytes: number): string =>
  requestText('POST', '/v1/webhooks/ai', [`Content-Length: ${bytes}`], 'b'.repeat(bytes))

test('bodies that arrive together are no more than may be held: the one too many gets 503, and room is given back', async () => {
  const service = await startPublic({ maxArrivingBytes: 2_000 })
  const statusOf = async (bytes: number) => (await exchangeOne(service.port, whole(bytes))).status
  const endings: ((socket: Socket) => Promise<unknown>)[] = [
    (socket) => {
      socket.write(LAST_CHUNK)
      return service.countedAtLeast(service.counted.length + 1)
    },
    (socket) => {
      socket.write(chunk('a'.repeat(HALF_BYTES)))
      return service.countedAtLeast(service.counted.length + 1)
    },
    async (socket) => {
      socket.resetAndDestroy()
    },
  ]
  for (const end of [...endings, ...endings, ...endings]) {
    const sockets = [await halfway(service.port), await halfway(service.port), await halfway(service.port)]
    const refused = connect(service.port, '127.0.0.1')
    refused.write(CHUNKED.replace('Connection: close\r\n', '') + chunk('b'.repeat(300)))
    const [answer] = (await once(refused, 'data')) as [Buffer]
    expect(answer.toString()).toMatch(/^HTTP\/1\.1 503 .*retry-after: 5\r\n/s)
    expect(service.counted.at(-1)).toEqual(['ai', 'unavailable'])
    expect(await statusOf(100)).toBe(200)
    for (const socket of sockets) await end(socket)
    // The service learns of a reset when it next looks.
    while ((await statusOf(900)) !== 200);
    // What the refused one still sends is not held, even when there is room again.
    await new Promise((resolve) => refused.write(chunk('b'.repeat(300)), resolve))
    const other = await halfway(service.port)
    expect(await statusOf(900)).toBe(200)
    for (const socket of [...sockets, refused, other]) socket.destroy()
  }
  expect(service.counted.some(([, outcome]) => outcome === 'error')).toBe(false)
})
